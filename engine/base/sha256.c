#include "engine/base/sha256.h"
