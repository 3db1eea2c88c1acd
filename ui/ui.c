#include "ui/ui.h"

int
ui_run(const struct page_request *req)
{
    return 0;
}
