#include "src/i18n.h"
