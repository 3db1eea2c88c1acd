#include "engine/load/load.h"
