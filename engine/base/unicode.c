#include "engine/base/unicode.h"
