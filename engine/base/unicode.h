/* engine/base/unicode.h  UTF-8, categories, widths, graphemes.
 *
 * The thin layer over utf8proc (Unicode 15) and our own East Asian Width
 * table (width_table.h, written by tools/gen_width.py; utf8proc 2.8 does not
 * know ambiguous width). Pure functions, any thread, except
 * uni_set_ambiguous(), which main calls once before threads.
 */
#ifndef JIELONG_UNICODE_H
#define JIELONG_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNI_BAD 0xFFFFFFFFu /* an ill-formed byte */

/* Decodes one character at s (len >= 1). Returns the bytes consumed (1..4)
 * and sets *cp; an ill-formed byte consumes 1 and gives UNI_BAD. Table 3-7 of
 * the Unicode standard: no overlongs, no surrogates, at most U+10FFFF. */
size_t uni_decode(const char *s, size_t len, uint32_t *cp);
/* 1..4 bytes into out; returns how many. cp must be a scalar value. */
size_t uni_encode(uint32_t cp, char out[4]);
/* Offset of the character before `at` (at > 0), stepping over ill-formed
 * bytes one by one, in agreement with uni_decode from a boundary. */
size_t uni_prev(const char *s, size_t at);
bool uni_valid(const char *s, size_t len);
/* Length of the longest prefix that is whole: at most 3 bytes that may still
 * become a character stay outside. */
size_t uni_whole(const char *s, size_t len);

/* General category as the two letters of Unicode ("Lu", "Zs", "Cn", ...). */
const char *uni_category(uint32_t cp);
bool uni_is_letter(uint32_t cp);      /* L* */
bool uni_is_number(uint32_t cp);      /* N* */
bool uni_is_punctuation(uint32_t cp); /* P* */
bool uni_is_mark(uint32_t cp);        /* M* */
bool uni_is_mn(uint32_t cp);
bool uni_is_zs(uint32_t cp);
bool uni_is_white(uint32_t cp);       /* the 25 White_Space code points */
bool uni_is_han(uint32_t cp);         /* BERT's "Chinese char" ranges */
uint32_t uni_lower(uint32_t cp);      /* simple, per code point */
/* Full canonical decomposition of one code point; returns how many (1..18). */
size_t uni_nfd(uint32_t cp, uint32_t out[18]);
unsigned uni_ccc(uint32_t cp);        /* canonical combining class */

/* Columns on the terminal: 0 combining, 1, 2; -1 for what must never reach
 * it (controls, bidi controls, zero-width format characters, TAGs, private
 * use, unassigned, UNI_BAD): the screen shows those as a placeholder. */
int uni_width(uint32_t cp);
/* 1 (default) or 2 columns for East Asian Ambiguous. */
void uni_set_ambiguous(int cols);
/* Would a text display this as it is? false: shown as <202E>-like. */
bool uni_is_safe(uint32_t cp);

/* Length in bytes of the extended grapheme cluster at s; an ill-formed byte
 * and a line break ("\n", "\r\n") are clusters of their own. */
size_t uni_grapheme(const char *s, size_t len);
/* Columns of one cluster as we draw it: base glyph only, at least 1. */
int uni_grapheme_width(const char *s, size_t len);

/* 字: CJK characters plus Latin words, punctuation not counted. */
size_t uni_count_words(const char *s, size_t len);

#endif
