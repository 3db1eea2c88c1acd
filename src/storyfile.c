#include "src/storyfile.h"
