#include "src/paths.h"
