#include "plugin/model/bpe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/base/buf.h"
#include "plugin/base/mem.h"
#include "plugin/model/bpe_split.h"

/* The file: what config/make-vocabulary writes, numbers little-endian.
 *    0  "warblbpe"
 *    8  u32 version            12  u32 encoding, enum bpe_encoding
 *   16  u32 n, tokens          20  u32 bytes of them all
 *   24  u64 FNV-1a of the rest
 *   32  u8[n] their lengths, then their bytes, both in the order of their ranks */
#define MAGIC "warblbpe"
#define FORMAT_VERSION 1
#define HEADER_BYTES 32
#define FNV_START 0xCBF29CE484222325U
#define FNV_PRIME 0x100000001B3U

#define NO_RANK UINT32_MAX
#define ADVICE "make it anew with config/make-vocabulary"

struct vocabulary {
    enum bpe_encoding encoding;
    uint32_t n;
    uint32_t *start;  /* n + 1 places in bytes; a token ends where the next one begins */
    uint32_t *slots;  /* open addressing: ranks, or NO_RANK */
    uint32_t mask;    /* slots - 1 */
    uint32_t longest; /* bytes of the longest token */
    char *bytes;
};

static const char *const NAMES[BPE_ENCODINGS] = { "o200k_base", "cl100k_base" };

const char *vocabulary_name(const struct vocabulary *v)
{
    return NAMES[v->encoding];
}

/* --- looking up --- */
static uint64_t fnv(const char *s, size_t len)
{
    uint64_t h = FNV_START;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)s[i]) * FNV_PRIME;
    return h;
}

/* The slot where a token is, or would be. */
static uint32_t *slot(const struct vocabulary *v, const char *s, size_t len)
{
    uint64_t h = fnv(s, len);
    for (uint32_t i = (uint32_t)(h ^ h >> 32) & v->mask;; i = (i + 1) & v->mask) {
        uint32_t rank = v->slots[i];
        if (rank == NO_RANK || (v->start[rank + 1] - v->start[rank] == len && memcmp(v->bytes + v->start[rank], s, len) == 0))
            return &v->slots[i];
    }
}

static uint32_t rank_of(const struct vocabulary *v, const char *s, size_t len)
{
    return len > v->longest ? NO_RANK : *slot(v, s, len);
}

/* --- merging --- */

/* A piece while its bytes are merged: parts, each named by its first byte, and
 * over the pairs of neighbours a tournament: tree[1] is the lowest rank of all,
 * tree[k] the lower one of tree[2k] and tree[2k + 1]. */
struct merge {
    const struct vocabulary *v;
    const char *s;
    uint32_t len, leaves;
    uint16_t next[BPE_PIECE_BYTES_MAX + 1], prev[BPE_PIECE_BYTES_MAX + 1];
    uint32_t tree[2 * BPE_PIECE_BYTES_MAX];
};

static uint32_t lower(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* The rank of the token that the part at i would be together with the next one. */
static uint32_t pair_rank(const struct merge *m, uint32_t i)
{
    uint32_t second = m->next[i];
    return second == m->len ? NO_RANK : rank_of(m->v, m->s + i, m->next[second] - i);
}

static void set_rank(struct merge *m, uint32_t i, uint32_t rank)
{
    uint32_t k = m->leaves + i;
    m->tree[k] = rank;
    for (k /= 2; k > 0; k /= 2)
        m->tree[k] = lower(m->tree[2 * k], m->tree[2 * k + 1]);
}

/* The leftmost pair of the lowest rank. */
static uint32_t best_pair(const struct merge *m)
{
    uint32_t k = 1;
    while (k < m->leaves)
        k = 2 * k + (m->tree[2 * k] != m->tree[k]);
    return k - m->leaves;
}

static void merge_init(struct merge *m, const struct vocabulary *v, const char *s, uint32_t len)
{
    m->v = v;
    m->s = s;
    m->len = len;
    for (m->leaves = 1; m->leaves < len;)
        m->leaves *= 2;
    for (uint32_t i = 0; i <= len; i++) {
        m->next[i] = (uint16_t)(i + 1);
        m->prev[i] = (uint16_t)(i - 1);
    }
    for (uint32_t i = 0; i < m->leaves; i++)
        m->tree[m->leaves + i] = i < len ? pair_rank(m, i) : NO_RANK;
    for (uint32_t k = m->leaves - 1; k > 0; k--)
        m->tree[k] = lower(m->tree[2 * k], m->tree[2 * k + 1]);
}

static size_t count_merged(const struct vocabulary *v, const char *s, uint32_t len)
{
    struct merge m;
    size_t parts = len;
    merge_init(&m, v, s, len);
    for (; m.tree[1] != NO_RANK; parts--) {
        uint32_t i = best_pair(&m), gone = m.next[i];
        m.next[i] = m.next[gone];
        m.prev[m.next[i]] = (uint16_t)i;
        set_rank(&m, gone, NO_RANK);
        set_rank(&m, i, pair_rank(&m, i));
        if (i > 0)
            set_rank(&m, m.prev[i], pair_rank(&m, m.prev[i]));
    }
    return parts;
}

static size_t count_piece(const struct vocabulary *v, const char *s, size_t len)
{
    size_t n = 0;
    if (rank_of(v, s, len) != NO_RANK)
        return 1;
    for (; len > BPE_PIECE_BYTES_MAX; s += BPE_PIECE_BYTES_MAX, len -= BPE_PIECE_BYTES_MAX)
        n += count_merged(v, s, BPE_PIECE_BYTES_MAX);
    return n + count_merged(v, s, (uint32_t)len);
}

size_t vocabulary_count(const struct vocabulary *v, const char *utf8, size_t len)
{
    size_t n = 0;
    for (size_t at = 0, end; at < len; at = end) {
        end = bpe_split(v->encoding, utf8, len, at);
        n += count_piece(v, utf8 + at, end - at);
    }
    return n;
}

/* --- reading --- */
static uint64_t number(const char *data, size_t bytes)
{
    uint64_t n = 0;
    while (bytes-- > 0)
        n = n << 8 | (unsigned char)data[bytes];
    return n;
}

struct header {
    uint32_t encoding, n, bytes;
};

static enum err_code read_header(const char *data, size_t len, const char *file, struct header *h, struct err *e)
{
    if (len < HEADER_BYTES || memcmp(data, MAGIC, strlen(MAGIC)) != 0)
        return err_set(e, ERR_INVALID, "%s is no vocabulary: " ADVICE, file);
    if (number(data + 8, 4) != FORMAT_VERSION)
        return err_set(e, ERR_VERSION, "%s is a vocabulary of another version than %d: " ADVICE, file, FORMAT_VERSION);
    h->encoding = (uint32_t)number(data + 12, 4);
    h->n = (uint32_t)number(data + 16, 4);
    h->bytes = (uint32_t)number(data + 20, 4);
    if (h->encoding >= BPE_ENCODINGS)
        return err_set(e, ERR_VERSION, "%s has an encoding that this warbler does not know: " ADVICE, file);
    if (h->n == 0 || h->n > BPE_TOKENS_MAX || len - HEADER_BYTES != (uint64_t)h->n + h->bytes)
        return err_set(e, ERR_INVALID, "%s is cut off or damaged: " ADVICE, file);
    if (fnv(data + HEADER_BYTES, len - HEADER_BYTES) != number(data + 24, 8))
        return err_set(e, ERR_INVALID, "%s is damaged, its checksum is wrong: " ADVICE, file);
    return ERR_OK;
}

static bool read_lengths(struct vocabulary *v, const unsigned char *lengths, uint32_t bytes)
{
    uint32_t at = 0;
    v->start = mem_array(v->n + 1, sizeof *v->start);
    for (uint32_t i = 0; i < v->n; i++) {
        if (lengths[i] == 0 || lengths[i] > bytes - at)
            return false;
        at += lengths[i];
        v->start[i + 1] = at;
        if (lengths[i] > v->longest)
            v->longest = lengths[i];
    }
    return at == bytes;
}

static bool fill_slots(struct vocabulary *v)
{
    uint32_t slots = 1;
    while (slots < 2 * v->n) /* at most half full: short ways, and an empty slot at the end of each */
        slots *= 2;
    v->mask = slots - 1;
    v->slots = mem_array(slots, sizeof *v->slots);
    memset(v->slots, 0xFF, slots * sizeof *v->slots);
    for (uint32_t i = 0; i < v->n; i++) {
        uint32_t *at = slot(v, v->bytes + v->start[i], v->start[i + 1] - v->start[i]);
        if (*at != NO_RANK)
            return false;
        *at = i;
    }
    return true;
}

static bool has_all_bytes(const struct vocabulary *v)
{
    for (int byte = 0; byte < 256; byte++)
        if (rank_of(v, &(char){ (char)byte }, 1) == NO_RANK)
            return false;
    return true;
}

enum err_code vocabulary_parse(const char *data, size_t len, const char *file, struct vocabulary **v_r, struct err *e)
{
    struct header h = { 0 };
    *v_r = NULL;
    enum err_code code = read_header(data, len, file, &h, e);
    if (code)
        return code;
    struct vocabulary *v = mem_alloc(sizeof *v);
    v->encoding = (enum bpe_encoding)h.encoding;
    v->n = h.n;
    v->bytes = mem_dupn(data + HEADER_BYTES + h.n, h.bytes);
    if (!read_lengths(v, (const unsigned char *)data + HEADER_BYTES, h.bytes) || !fill_slots(v) || !has_all_bytes(v)) {
        vocabulary_free(&v);
        return err_set(e, ERR_INVALID, "%s contradicts itself: " ADVICE, file);
    }
    *v_r = v;
    return ERR_OK;
}

void vocabulary_free(struct vocabulary **v)
{
    if (!*v)
        return;
    free((*v)->start);
    free((*v)->slots);
    free((*v)->bytes);
    free(*v);
    *v = NULL;
}

static enum err_code read_all(int fd, struct buf *out, const char *file, struct err *e)
{
    char part[65536];
    ssize_t n;
    while ((n = read(fd, part, sizeof part)) > 0)
        if (buf_add(out, part, (size_t)n))
            return err_set(e, ERR_TOO_LARGE, "%s is no vocabulary, it is larger than %u MB", file,
                           BPE_FILE_BYTES_MAX / (1024 * 1024));
    return n < 0 ? err_set(e, ERR_IO, "cannot read %s: %s", file, strerror(errno)) : ERR_OK;
}

enum err_code vocabulary_load(const char *file, struct vocabulary **v_r, struct err *e)
{
    struct buf data;
    *v_r = NULL;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set(e, ERR_IO, "cannot read %s: %s", file, strerror(errno));
    buf_init(&data, BPE_FILE_BYTES_MAX);
    enum err_code code = read_all(fd, &data, file, e);
    close(fd);
    if (!code)
        code = vocabulary_parse(data.data, data.len, file, v_r, e);
    buf_free(&data);
    return code;
}
