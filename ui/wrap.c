#include "ui/wrap.h"
