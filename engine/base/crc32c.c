#include "engine/base/crc32c.h"
