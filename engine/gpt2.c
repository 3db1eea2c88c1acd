#include "engine/gpt2.h"
