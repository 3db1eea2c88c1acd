/* src/get.c  `jielong get NAME`: a model from a hub into the models folder.
 *
 * The files collect in models/.incoming-NAME, each under its own name only
 * when its bytes are right; when all are there the folder becomes
 * models/NAME in one rename. So models/NAME is never half a model, an older
 * one stays until the new one is whole, and whatever interrupts a download
 * (a broken line, Ctrl-C, a power cut), the same command goes on from there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "engine/base/mem.h"
#include "engine/model.h"

#include "src/cli_options.h"
#include "src/cli_parts.h"
#include "src/fetch.h"
#include "src/get_bar.h"
#include "src/hub.h"
#include "src/i18n.h"
#include "src/models.h"
#include "src/paths.h"
#include "src/pins.h"

#define LIST_MAX      ((size_t)16 << 20)   /* the hub's list of files */
#define UNTOLD_MAX    ((uint64_t)1 << 30)  /* room kept for an unknown size */
#define SPARE         ((uint64_t)16 << 20) /* disk that stays free */
#define STALL_SECONDS 60
#define PAUSE_MS      1000
#define LICENCE_COLS  11
#define CARD          "README.md" /* may change without changing the model */

struct job {
    const char *name; /* as it was asked for */
    const char *as;   /* --as, or NULL */
    bool yes;
    char *repo;                    /* OWNER/NAME */
    char *folder;                  /* its name in the models folder */
    const struct hub_known *known; /* or NULL */
    const char *endpoint;
    char *models, *incoming, *final; /* paths */
    struct fetch *fetch;
    struct hub_model hub;
    struct pins old;  /* of the model that is there; repo NULL: none */
    struct pins pins; /* of the one that comes */
    struct get_bar bar;
    const char *file; /* under way, or NULL */
    uint64_t file_done;
    int lock;
};

/* --- Ctrl-C --- */

static volatile sig_atomic_t interrupted;

static void
on_signal(int sig)
{
    interrupted = sig;
}

static void
watch_signals(void)
{
    struct sigaction sa = { .sa_handler = on_signal };

    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    signal(SIGPIPE, SIG_IGN); /* a server that hangs up */
    signal(SIGXFSZ, SIG_IGN); /* a write beyond a limit fails in words */
}

/* --- what is asked for --- */

static void
list_known(void)
{
    printf("%s\n", _("Models that jielong get knows by name; OWNER/NAME gets "
                     "any other of the hub:"));
    for (size_t i = 0; i < hub_n_known; i++) {
        const struct hub_known *k = &hub_known[i];

        char size[16];
        const char *licence = k->licence ? k->licence : _("not stated");

        snprintf(size, sizeof size, "~%u",
                 k->mb); /* the hub tells it exactly */
        printf("  %-36s %6s MB  %s%*s %s\n", strchr(k->repo, '/') + 1, size,
               licence, LICENCE_COLS - models_text_cols(licence), "",
               _(k->about));
    }
}

static int
read_words(struct job *j, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];

        if (!strcmp(a, "--yes") || !strcmp(a, "-y")) {
            j->yes = true;
        } else if (!strncmp(a, "--as=", 5)) {
            j->as = a + 5;
        } else if (!strcmp(a, "--as")) {
            if (i + 1 == argc) {
                cli_say(_("%s needs a value"), a);
                return EXIT_USAGE;
            }
            j->as = argv[++i];
        } else if (a[0] == '-') {
            cli_no_option(argv[0], a);
            return EXIT_USAGE;
        } else if (j->name) {
            cli_say(_("one model at a time: \"%s\" and \"%s\" were named"),
                    j->name, a);
            return EXIT_USAGE;
        } else {
            j->name = a;
        }
    }
    return EXIT_OK;
}

/* From the words to addresses and paths. */
static int
settle(struct job *j)
{
    const char *env = getenv("HF_ENDPOINT");
    char *data;

    j->known = hub_find(j->name);
    if (!j->known && !hub_is_repo(j->name)) {
        cli_say(_("no model is known as \"%s\"; jielong get lists those that "
                  "are, OWNER/NAME gets any other of the hub"),
                j->name);
        return EXIT_USAGE;
    }
    j->repo = xstrdup(j->known ? j->known->repo : j->name);
    j->folder = xstrdup(j->as ? j->as : strchr(j->repo, '/') + 1);
    if (!hub_is_plain(j->folder)) {
        cli_say(_("\"%s\" cannot be a model's name here: letters, digits, "
                  "'.', '_' and '-' can"),
                j->folder);
        return EXIT_USAGE;
    }
    if (!j->yes && !(isatty(STDIN_FILENO) && isatty(STDERR_FILENO))) {
        cli_say(_("there is no terminal to ask on; jielong get --yes %s "
                  "downloads without asking"),
                j->name);
        return EXIT_USAGE;
    }
    j->endpoint = env && *env ? env : HUB_ENDPOINT;
    data = paths_data_home();
    j->models = xasprintf("%s/models", data);
    j->incoming = xasprintf("%s/.incoming-%s", j->models, j->folder);
    j->final = xasprintf("%s/%s", j->models, j->folder);
    free(data);
    return EXIT_OK;
}

/* --- the hub --- */

/* The bar goes on while nothing comes: its speed falls. */
static bool
tick(void *ud)
{
    struct job *j = ud;

    if (j->file)
        get_bar_show(&j->bar, j->file, j->file_done);
    return !interrupted;
}

static unsigned
setting(const char *name, unsigned normal, unsigned max)
{
    const char *s = getenv(name);
    long n = s ? strtol(s, NULL, 10) : 0;

    return n > 0 && n <= (long)max ? (unsigned)n : normal;
}

static const char *
authorities(void)
{
    const char *ca = getenv("CURL_CA_BUNDLE");

    if (!ca || !*ca)
        ca = getenv("SSL_CERT_FILE");
    return ca && *ca ? ca : NULL;
}

static bool
open_fetch(struct job *j, struct err *err)
{
    const char *token = getenv("HF_TOKEN");
    struct fetch_options o = {
        .home = j->endpoint,
        .token = token && *token && !strpbrk(token, "\r\n") ? token : NULL,
        .ca_file = authorities(),
        .stall_seconds = setting("JIELONG_STALL_SECONDS", STALL_SECONDS, 3600),
        .pause_ms = setting("JIELONG_RETRY_MS", PAUSE_MS, 60000),
        .tick = tick,
        .ud = j,
    };

    j->fetch = fetch_new(&o, err);
    return j->fetch != NULL;
}

static char *
address(const struct job *j, const char *middle, const char *rest)
{
    size_t n = strlen(j->endpoint);

    while (n > 8 && j->endpoint[n - 1] == '/')
        n--;
    return xasprintf("%.*s%s%s%s", (int)n, j->endpoint, middle, j->repo, rest);
}

static bool
read_hub(struct job *j, struct err *err)
{
    char *url = address(j, "/api/models/", "?blobs=true"), *text;
    size_t len;
    bool ok = fetch_text(j->fetch, url, LIST_MAX, &text, &len, err);

    free(url);
    if (!ok)
        return false;
    ok = hub_read_list(&j->hub, text, len, err) || err_wrap(err, "%s", j->repo);
    free(text);
    return ok;
}

static const char *
licence(const struct job *j)
{
    if (j->hub.licence[0])
        return j->hub.licence;
    return j->known && j->known->licence ? j->known->licence : NULL;
}

static uint64_t
total_size(const struct job *j, bool *untold)
{
    uint64_t sum = 0;

    *untold = false;
    for (size_t i = 0; i < j->hub.n; i++) {
        if (j->hub.files[i].size == FETCH_UNKNOWN)
            *untold = true;
        else
            sum += j->hub.files[i].size;
    }
    return sum;
}

/* --- what is there already --- */

static struct fetch_want
want(const struct job *j, const char *dir, const struct hub_file *f)
{
    struct fetch_want w = { .dir = dir, .name = f->name, .size = f->size };

    strcpy(w.sha256, f->sha256);
    strcpy(w.git, f->git);
    return w;
}

static bool
is_pinned_otherwise(const struct job *j, const char *file, const char *sha256)
{
    const char *pin = j->old.repo ? pins_find(&j->old, file) : NULL;

    return pin && sha256[0] && strcmp(pin, sha256) != 0 &&
           strcmp(file, CARD) != 0;
}

/* What was pinned when it was first seen must not become something else
 * behind the writer's back. */
static bool
alarm_changed(const struct job *j, const char *file, struct err *err)
{
    char *path = pins_path(j->models, j->folder);

    err_set(err, ERR_FAILED,
            _("%s of %s is not what it was when it was first downloaded "
              "(revision %.12s then, %.12s now); nothing was changed here. If "
              "you trust the new one, remove %s and run the command again"),
            file, j->repo, j->old.revision, j->hub.revision, path);
    free(path);
    return false;
}

/* Is every file of the list in the folder, as the list or the pins say? */
static bool
is_whole(const struct job *j)
{
    for (size_t i = 0; i < j->hub.n; i++) {
        const struct hub_file *f = &j->hub.files[i];
        struct fetch_want w = want(j, j->final, f);
        const char *pin = pins_find(&j->old, f->name);
        char sum[65];

        if (!w.sha256[0] && pin &&
            strcmp(j->old.revision, j->hub.revision) == 0)
            strcpy(w.sha256, pin);
        if (!fetch_file_there(&w, sum))
            return false;
    }
    return true;
}

/* *done: nothing is left to do. */
static bool
look_at_old(struct job *j, bool *done, struct err *err)
{
    bool there = access(j->final, F_OK) == 0;

    *done = false;
    if (!pins_read(&j->old, j->models, j->folder, err)) {
        pins_finish(&j->old);
        if (err->kind != ERR_NONE)
            return false;
        if (there)
            return err_set(err, ERR_FAILED,
                           _("%s is there already and did not come from "
                             "here; --as NAME takes another name"),
                           j->final);
        return true;
    }
    if (strcasecmp(j->old.repo, j->repo) != 0)
        return err_set(err, ERR_FAILED,
                       _("%s is the model %s already; --as NAME takes another "
                         "name"),
                       j->final, j->old.repo);
    for (size_t i = 0; i < j->hub.n; i++)
        if (is_pinned_otherwise(j, j->hub.files[i].name,
                                j->hub.files[i].sha256))
            return alarm_changed(j, j->hub.files[i].name, err);
    *done = there && is_whole(j);
    return true;
}

/* --- asking --- */

static void
describe(const struct job *j)
{
    char size[32];
    const char *about = "";
    bool untold;
    uint64_t sum = total_size(j, &untold);

    /* The hub's own figure; the table's is only about right. */
    if (sum == 0 && j->known) {
        sum = (uint64_t)j->known->mb * 1000000;
        about = "~";
    }
    fprintf(stderr, "%s %s/%s\n", _("model:  "), j->endpoint, j->repo);
    fprintf(stderr, "%s %s\n", _("licence:"),
            licence(j) ? licence(j) : _("not stated"));
    fprintf(stderr, "%s %s%s%s\n", _("size:   "), about,
            sum ? get_size_text(sum, size, sizeof size)
                : _("not told by the hub"),
            sum && untold ? _(" at least") : "");
    fprintf(stderr, "%s %s\n", _("goes to:"), j->final);
}

static bool
ask(const struct job *j)
{
    char answer[64];

    if (j->yes)
        return true;
    fprintf(stderr, "%s ", _("Download it? [y/N]"));
    fflush(stderr);
    if (!fgets(answer, sizeof answer, stdin))
        return false;
    answer[strcspn(answer, "\r\n")] = '\0';
    return !strcasecmp(answer, "y") || !strcasecmp(answer, "yes") ||
           !strcmp(answer, "是");
}

/* --- room --- */

static uint64_t
file_size(const char *dir, const char *name, const char *end)
{
    char *path = xasprintf("%s/%s%s", dir, name, end);
    struct stat st;
    uint64_t n =
        lstat(path, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;

    free(path);
    return n;
}

/* Before the first byte: is there room for the bytes that are to come? */
static bool
check_room(const struct job *j, struct err *err)
{
    uint64_t need = SPARE, room;
    char a[32], b[32];
    struct statvfs fs;

    for (size_t i = 0; i < j->hub.n; i++) {
        const struct hub_file *f = &j->hub.files[i];
        uint64_t size = f->size == FETCH_UNKNOWN ? UNTOLD_MAX : f->size;
        uint64_t have = file_size(j->incoming, f->name, "") +
                        file_size(j->incoming, f->name, ".part");

        need += have < size ? size - have : 0;
    }
    if (statvfs(j->models, &fs) != 0)
        return true; /* then writing will tell */
    room = (uint64_t)fs.f_bavail * fs.f_frsize;
    return need <= room ||
           err_set(err, ERR_FAILED, _("%s has room for %s, and %s are needed"),
                   j->models, get_size_text(room, a, sizeof a),
                   get_size_text(need, b, sizeof b));
}

/* --- the download --- */

static bool
prepare(struct job *j, struct err *err)
{
    if (!file_make_dirs(j->incoming, err))
        return false;
    j->lock =
        open(j->incoming, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (j->lock < 0)
        return err_errno(err, ERR_FAILED, errno, _("%s cannot be opened"),
                         j->incoming);
    if (flock(j->lock, LOCK_EX | LOCK_NB) != 0)
        return err_set(err, ERR_FAILED,
                       _("another jielong is downloading %s right now"),
                       j->folder);
    return check_room(j, err);
}

static void
on_progress(void *ud, uint64_t done)
{
    struct job *j = ud;

    j->file_done = done;
    get_bar_show(&j->bar, j->file, done);
}

static bool
get_one(struct job *j, const struct hub_file *f, struct err *err)
{
    struct fetch_want w = want(j, j->incoming, f);
    char sum[65], *middle, *url;
    bool ok;

    j->file = f->name;
    j->file_done = 0;
    w.progress = on_progress;
    w.ud = j;
    if (!fetch_file_there(&w, sum)) {
        middle = xasprintf("/resolve/%s/%s", j->hub.revision, f->name);
        url = address(j, "/", middle);
        ok = fetch_file(j->fetch, url, &w, sum, err);
        free(middle);
        free(url);
        if (!ok)
            return err_wrap(err, "%s", f->name);
    }
    if (is_pinned_otherwise(j, f->name, sum))
        return alarm_changed(j, f->name, err);
    pins_add(&j->pins, f->name, sum);
    j->file = NULL;
    get_bar_add(&j->bar, file_size(j->incoming, f->name, ""));
    return true;
}

static bool
get_all(struct job *j, struct err *err)
{
    bool untold, ok = true;

    pins_init(&j->pins, j->repo, j->hub.revision, licence(j) ? licence(j) : "");
    get_bar_init(&j->bar, total_size(j, &untold));
    for (size_t i = 0; ok && i < j->hub.n; i++)
        ok = get_one(j, &j->hub.files[i], err);
    if (ok)
        get_bar_show(&j->bar, _("done"), 0);
    get_bar_end(&j->bar);
    return ok;
}

/* --- the arrival --- */

/* A folder that holds files only; what is no file stays, and so the folder. */
static void
remove_folder(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;

    while (d && (e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    rmdir(path);
}

/* Files of an earlier revision that the list no longer names. */
static void
remove_strangers(const struct job *j)
{
    DIR *d = opendir(j->incoming);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        bool listed = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");

        for (size_t i = 0; !listed && i < j->hub.n; i++)
            listed = !strcmp(e->d_name, j->hub.files[i].name);
        if (!listed)
            unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        closedir(d);
}

static void
sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

/* The pins come first: a folder without pins would be taken for one of the
 * writer's own. The old and the new folder change places in one step. */
static bool
arrive(struct job *j, struct err *err)
{
    bool swapped;

    remove_strangers(j);
    sync_folder(j->incoming);
    if (!pins_write(&j->pins, j->models, j->folder, err))
        return false;
    swapped = renameat2(AT_FDCWD, j->incoming, AT_FDCWD, j->final,
                        RENAME_EXCHANGE) == 0;
    if (!swapped && rename(j->incoming, j->final) != 0)
        return err_errno(err, ERR_FAILED, errno,
                         _("%s cannot be put in its place"), j->final);
    sync_folder(j->models);
    if (swapped)
        remove_folder(j->incoming);
    return true;
}

/* Does it open? Only its heads are read. */
static int
try_it(const struct job *j)
{
    struct model_peek peek;
    struct err err = { 0 };

    if (model_peek(j->final, &peek, &err)) {
        fprintf(stderr, _("%s is here. To write with it: jielong -m %s\n"),
                j->folder, j->folder);
        return EXIT_OK;
    }
    cli_say(_("%s is here as the hub has it, and cannot be used: %s"),
            j->folder, err.msg);
    return EXIT_MODEL;
}

/* --- the command --- */

static int
tell(const struct job *j, const struct err *err)
{
    if (err->kind != ERR_CANCELLED) {
        cli_say("%s", err->msg);
        return err_exit_status(err->kind);
    }
    cli_say(_("stopped; the same command goes on from here"));
    return interrupted > 0 ? 128 + interrupted : EXIT_INTERRUPTED;
}

static int
run(struct job *j)
{
    struct err err = { 0 };
    bool done;

    if (!open_fetch(j, &err) || !read_hub(j, &err) ||
        !look_at_old(j, &done, &err))
        return tell(j, &err);
    if (done) {
        fprintf(stderr, _("%s is here already, whole and unchanged\n"),
                j->folder);
        return EXIT_OK;
    }
    describe(j);
    if (!ask(j)) {
        if (interrupted)
            err_set(&err, ERR_CANCELLED, "-");
        else
            cli_say(_("nothing was downloaded"));
        return interrupted ? tell(j, &err) : EXIT_FAILED;
    }
    if (!prepare(j, &err) || !get_all(j, &err) || !arrive(j, &err))
        return tell(j, &err);
    return try_it(j);
}

int
cli_get(int argc, char **argv)
{
    struct job j = { .lock = -1 };
    int status = read_words(&j, argc, argv);

    if (status == EXIT_OK && !j.name)
        list_known();
    else if (status == EXIT_OK && (status = settle(&j)) == EXIT_OK) {
        watch_signals();
        status = run(&j);
    }
    if (j.lock >= 0)
        close(j.lock);
    fetch_free(j.fetch);
    hub_model_finish(&j.hub);
    pins_finish(&j.old);
    pins_finish(&j.pins);
    free(j.repo);
    free(j.folder);
    free(j.models);
    free(j.incoming);
    free(j.final);
    return status;
}
