#include "engine/base/err.h"
