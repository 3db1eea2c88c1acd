#include "src/story.h"
