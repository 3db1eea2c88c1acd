/* engine/presets.c  Settings of the chain under a name, as rows.
 *
 * A preset is a line of knobs, as one would type them. The knobs of the chain
 * (and min-length) that it does not name return to their defaults, so that a
 * preset means the same whatever stood there before; all others stay as they
 * are. Where the foreign ones come from: doc/sampling.md.
 */
#include <stdio.h>
#include <string.h>

#include "engine/knobs.h"

#define N_(s) (s) /* marks a msgid; those who show it translate it */

const struct preset_row preset_rows[] = {
    { "calm", "稳", N_("calm"), "temp=0.7 top-k=20 top-p=0.9 min-p=0" },
    { "normal", "常", N_("normal"), "" },
    { "wild", "野", N_("wild"), "temp=1.1 top-k=0 top-p=0.95 min-p=0.03" },
    { "greedy", "贪心", N_("greedy"),
      "temp=0 top-k=0 top-p=1 min-p=0 repeat=1" },
    /* Any of the ten likeliest, each as likely as the others. */
    { "tutorial", "教程", N_("tutorial"),
      "temp=inf top-k=10 top-p=1 min-p=0 repeat=1" },
    /* scripts/demo.py of gpt2-ml: nothing but top-p, and there the token
     * that crosses the line is left out; its end token ends a text only
     * beyond -min_len, 1024 where nobody says otherwise. */
    { "gpt2-ml", NULL, "gpt2-ml",
      "temp=1 top-k=0 top-p=0.95 top-p-rule=exclusive min-p=0 repeat=1 "
      "min-length=1024" },
};
const int n_presets = sizeof preset_rows / sizeof *preset_rows;

const struct preset_row *
preset_find(const char *name)
{
    for (int i = 0; i < n_presets; i++)
        if (strcmp(preset_rows[i].name, name) == 0 ||
            (preset_rows[i].alias && strcmp(preset_rows[i].alias, name) == 0))
            return &preset_rows[i];
    return NULL;
}

bool
preset_sets(const struct knob_row *row)
{
    return row->stage != STAGE_NONE || row->kind == KNOB_STAGES ||
           row->id == KNOB_MIN_LENGTH;
}

void
preset_apply(struct knobs *k, const struct preset_row *p)
{
    for (int i = 0; i < KNOB_COUNT; i++)
        if (preset_sets(&knob_rows[i]))
            knob_reset(k, &knob_rows[i]);
    for (const char *s = p->set; *s;) {
        size_t len = strcspn(s, " ");
        char item[64], *value;

        snprintf(item, sizeof item, "%.*s", (int)len, s);
        value = strchr(item, '=');
        *value++ = '\0';
        knob_parse(k, knob_find(item), value, NULL);
        s += len + (s[len] == ' ');
    }
}

int
preset_of(const struct knobs *k)
{
    for (int i = 0; i < n_presets; i++) {
        struct knobs would = *k;

        preset_apply(&would, &preset_rows[i]);
        if (knobs_equal(&would, k))
            return i;
    }
    return -1;
}
