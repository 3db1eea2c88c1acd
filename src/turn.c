#include "src/turn.h"
