/* src/main.c  Puts the program together: options, then the page. */
#include "src/cli.h"
#include "ui/ui.h"

int
main(int argc, char **argv)
{
    struct page_request page;
    int status;

    if (cli_main(argc, argv, &page, &status))
        status = ui_run(&page);
    return status;
}
