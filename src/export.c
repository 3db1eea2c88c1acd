/* src/export.c  The current branch as a file for others.
 *
 * Text comes out byte for byte. Markdown: one line of the story is one
 * paragraph; what Markdown would take for its own marks is escaped with a
 * backslash (CommonMark 0.30: 2.4 backslash escapes, 4 leaf blocks, 5
 * containers, 6 inlines).
 */
#include "src/export.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

#include "src/record.h"

/* Bytes that are marks wherever they stand in a line. */
static bool
is_mark(char c)
{
    return c && strchr("\\`*_[]<>&~|", c);
}

/* Length of what makes the line start a list, heading, quote or rule: the
 * mark itself is at the returned offset - 1; 0 when there is none. */
static size_t
block_mark(const char *s, size_t len)
{
    size_t i = 0;
    while (i < len && s[i] >= '0' && s[i] <= '9')
        i++;
    if (i > 0)
        return i < len && (s[i] == '.' || s[i] == ')') ? i + 1 : 0;
    return len && strchr("#+-=", s[0]) && s[0] ? 1 : 0;
}

static void
add_line(struct bytes *b, const char *s, size_t len)
{
    size_t lead = 0;
    while (lead < len && (s[lead] == ' ' || s[lead] == '\t'))
        lead++; /* four of them would make it code */
    if (lead == len)
        return;
    for (size_t i = 0; i < lead; i++)
        bytes_add(b, s[i] == ' ' ? "&nbsp;" : "&emsp;", 6);
    s += lead;
    len -= lead;
    size_t mark = block_mark(s, len);
    for (size_t i = 0; i < len; i++) {
        if (i + 1 == mark || is_mark(s[i]))
            bytes_add(b, "\\", 1);
        bytes_add(b, s + i, 1);
    }
    bytes_add(b, "\n\n", 2);
}

static void
add_markdown(struct bytes *b, const char *title, const char *s, size_t len)
{
    if (*title) {
        bytes_add(b, "# ", 2);
        for (; *title; title++) {
            if (is_mark(*title))
                bytes_add(b, "\\", 1);
            bytes_add(b, *title == '\n' ? " " : title, 1);
        }
        bytes_add(b, "\n\n", 2);
    }
    while (len) {
        const char *lf = memchr(s, '\n', len);
        size_t n = lf ? (size_t)(lf - s) : len, text = n;
        if (text && s[text - 1] == '\r')
            text--;
        add_line(b, s, text);
        n += lf != NULL;
        s += n;
        len -= n;
    }
    if (b->n >= 2 && b->s[b->n - 1] == '\n' && b->s[b->n - 2] == '\n')
        b->s[--b->n] = '\0';
}

char *
export_story(const struct story *s, enum export_format f, size_t *len)
{
    size_t n = text_len(story_text(s));
    char *text = text_dup(story_text(s), 0, n);
    if (f == EXPORT_TXT) {
        *len = n;
        return text;
    }
    struct bytes b = { 0 };
    bytes_add(&b, "", 0);
    add_markdown(&b, story_title(s), text, n);
    free(text);
    *len = b.n;
    return b.s;
}
