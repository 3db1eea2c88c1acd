#include "src/text.h"
