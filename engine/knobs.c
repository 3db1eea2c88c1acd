#include "engine/knobs.h"
