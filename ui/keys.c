#include "ui/keys.h"
