#include "engine/gen.h"
