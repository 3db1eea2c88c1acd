#include "src/cli.h"

bool
cli_main(int argc, char **argv, struct page_request *page, int *status)
{
    *status = 0;
    return false;
}
