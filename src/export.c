#include "src/export.h"
