#include "engine/base/mem.h"
