#include "engine/base/rd.h"
