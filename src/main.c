/* src/main.c  Puts the program together: options, then the page. */
#include "src/cli.h"
#include "ui/ui.h"

int
main(int argc, char **argv)
{
    static struct page_request page; /* what it holds lives till the end */
    int status;

    if (cli_main(argc, argv, &page, &status))
        status = ui_run(&page);
    return status;
}
