#include "engine/base/philox.h"
