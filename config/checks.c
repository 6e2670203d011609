#include "config/checks.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "config/config.h"
#include "config/price_text.h"
#include "plugin/base/json.h"
#include "plugin/base/utf8.h"

#define PATTERN_MESSAGE_BYTES 256 /* PCRE2 promises that its messages fit */
#define NAME_POINTS_MAX 64
#define CURRENCY_LETTERS_MIN 3
#define CURRENCY_LETTERS_MAX 8

static bool has_blank_or_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s <= ' ' || *s == 0x7F)
            return true;
    return false;
}

/* The part behind "scheme://", or NULL. */
static const char *after_scheme(const char *url, const char *const *schemes)
{
    for (; *schemes; schemes++)
        if (strncasecmp(url, *schemes, strlen(*schemes)) == 0)
            return url + strlen(*schemes);
    return NULL;
}

static enum err_code check_url_of(const char *value, const char *const *schemes, const char *advice, struct err *e)
{
    const char *host = after_scheme(value, schemes);

    if (!host)
        return err_set(e, ERR_INVALID, "must begin with %s", advice);
    if (!*host || strchr("/:?#", *host))
        return err_set(e, ERR_INVALID, "has no host behind the //");
    if (has_blank_or_control(value))
        return err_set(e, ERR_INVALID, "must not contain blanks");
    if (strchr(value, '#'))
        return err_set(e, ERR_INVALID, "must not contain a #");
    return ERR_OK;
}

enum err_code check_url(const char *value, struct err *e)
{
    static const char *const schemes[] = { "http://", "https://", NULL };
    const char *host = after_scheme(value, schemes);

    if (host && memchr(host, '@', strcspn(host, "/?")))
        return err_set(e, ERR_INVALID, "must not contain a user name or password: there is a setting for keys");
    return check_url_of(value, schemes, "http:// or https://", e);
}

enum err_code check_base_url(const char *value, struct err *e)
{
    if (strchr(value, '?'))
        return err_set(e, ERR_INVALID, "must not contain a ?: a path is put behind it");
    return check_url(value, e);
}

enum err_code check_proxy(const char *value, struct err *e)
{
    static const char *const schemes[] = { "http://", "https://", "socks4://", "socks4a://", "socks5://",
                                           "socks5h://", NULL };

    return check_url_of(value, schemes, "http://, https:// or socks5h://", e);
}

enum err_code check_pattern(const char *value, struct err *e)
{
    PCRE2_UCHAR message[PATTERN_MESSAGE_BYTES];
    PCRE2_SIZE at;
    int error;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)value, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);

    if (code) {
        pcre2_code_free(code);
        return ERR_OK;
    }
    pcre2_get_error_message(error, message, sizeof message);
    return err_set(e, ERR_INVALID, "is no pattern that can be used: %s, at byte %zu", (const char *)message, (size_t)at);
}

enum err_code check_glob(const char *value, struct err *e)
{
    const char *open = value;

    while ((open = strchr(open, '['))) {
        const char *first = open + 1 + (open[1] == '!');

        /* A ] right behind the bracket stands for itself. */
        open = *first ? strchr(first + 1, ']') : NULL;
        if (!open)
            return err_set(e, ERR_INVALID, "has a [ without its ]");
    }
    return ERR_OK;
}

enum err_code check_match(const char *value, struct err *e)
{
    if (!strchr(value, ':') && !strchr(value, '*'))
        return err_set(e, ERR_INVALID, "matches no channel: a channel's name is ACCOUNT:CHAT, such as \"web:*\"");
    return check_glob(value, e);
}

static bool is_token(const char *s, size_t len) /* RFC 9110, 5.6.2 */
{
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr("!#$%&'*+-.^_`|~", s[i]))
            return false;
    return len > 0;
}

enum err_code check_header(const char *value, struct err *e)
{
    /* Set by the program itself, or by libcurl from what it is told. */
    static const char *const reserved[] = { "Accept", "Accept-Encoding", "Authorization", "Connection",
                                            "Content-Length", "Content-Type", "Expect", "Host", "Keep-Alive",
                                            "TE", "Trailer", "Transfer-Encoding", "Upgrade", NULL };
    size_t name = strcspn(value, ":");

    for (const char *c = value; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7F)
            return err_set(e, ERR_INVALID, "must not contain a line break or another control character");
    if (!value[name] || !is_token(value, name))
        return err_set(e, ERR_INVALID, "must be of the form \"Name: value\"");
    for (const char *const *r = reserved; *r; r++)
        if (strlen(*r) == name && strncasecmp(value, *r, name) == 0)
            return err_set(e, ERR_INVALID, "must not set %s: Warbler sets it itself%s", *r,
                           strcmp(*r, "Authorization") == 0 ? ", from api_key" : "");
    return ERR_OK;
}

enum err_code check_file(const char *value, struct err *e)
{
    int fd = open(value, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    bool regular;

    if (fd < 0)
        return err_set(e, ERR_IO, "cannot be read: %s: %s", value, strerror(errno));
    regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    close(fd);
    return regular ? ERR_OK : err_set(e, ERR_IO, "is not a file: %s", value);
}

enum err_code check_vocabulary(const char *value, struct err *e)
{
    static const char magic[] = { 'w', 'a', 'r', 'b', 'l', 'b', 'p', 'e' }; /* model/bpe.c reads the rest */
    char head[sizeof magic];
    enum err_code code = check_file(value, e);
    int fd = code ? -1 : open(value, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return code;
    if (read(fd, head, sizeof head) != sizeof head || memcmp(head, magic, sizeof head) != 0)
        code = err_set(e, ERR_INVALID, "is no vocabulary that config/make-vocabulary made: %s", value);
    close(fd);
    return code;
}

enum err_code check_account_name(const char *value, struct err *e)
{
    size_t len = strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_-");

    if (value[len] || len > ACCOUNT_NAME_MAX)
        return err_set(e, ERR_INVALID, "must be 1 to %d of a-z, 0-9, _ and -, because it begins the names of channels",
                       ACCOUNT_NAME_MAX);
    return ERR_OK;
}

enum err_code check_name(const char *value, struct err *e)
{
    size_t len = strlen(value);

    if (!utf8_printable(value, len) || utf8_points(value, len) > NAME_POINTS_MAX || value[0] == ' ' ||
        (len > 0 && value[len - 1] == ' '))
        return err_set(e, ERR_INVALID, "must be 1 to %d printable characters without blanks at its ends",
                       NAME_POINTS_MAX);
    return ERR_OK;
}

enum err_code check_bot_name(const char *value, struct err *e)
{
    if (strcmp(value, NO_BOT) == 0)
        return err_set(e, ERR_INVALID, "must not be \"%s\": in a channel, that says that no bot answers", NO_BOT);
    return check_name(value, e);
}

/* As people type it behind the command's prefix. */
enum err_code check_preset_name(const char *value, struct err *e)
{
    if (has_blank_or_control(value))
        return err_set(e, ERR_INVALID, "must be one word, for people write it as a command");
    if (strcasecmp(value, PRESET_DEFAULT) == 0)
        return err_set(e, ERR_INVALID, "must not be \"%s\": that goes back to having none", PRESET_DEFAULT);
    return check_name(value, e);
}

enum err_code check_address(const char *value, struct err *e)
{
    unsigned char address[sizeof(struct in6_addr)];

    if (inet_pton(AF_INET, value, address) != 1 && inet_pton(AF_INET6, value, address) != 1)
        return err_set(e, ERR_INVALID, "must be a numeric address: \"127.0.0.1\", \"0.0.0.0\" (all), \"::1\" or \"::\" (all)");
    return ERR_OK;
}

bool check_loopback(const char *address)
{
    struct in6_addr six;
    struct in_addr four;

    if (inet_pton(AF_INET, address, &four) == 1)
        return ntohl(four.s_addr) >> 24 == IN_LOOPBACKNET;
    if (inet_pton(AF_INET6, address, &six) != 1)
        return false;
    return IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == IN_LOOPBACKNET);
}

enum err_code check_command(const char *value, struct err *e)
{
    size_t name = strspn(value, "abcdefghijklmnopqrstuvwxyz");

    if (name == 0 || value[name] != '=' || has_blank_or_control(value))
        return err_set(e, ERR_INVALID, "must be like \"help=hilfe,aide\" (more names) or \"retry=\" (off), without blanks");
    return ERR_OK;
}

enum err_code check_amount(const char *value, struct err *e)
{
    int64_t amount;

    if (!price_text_amount(value, &amount))
        return err_set(e, ERR_INVALID, "must be an amount of money such as \"2.50\": digits, and if need be a point and at "
                       "most %d more", MONEY_PLACES);
    return ERR_OK;
}

enum err_code check_currency(const char *value, struct err *e)
{
    size_t len = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

    if (value[len] || len < CURRENCY_LETTERS_MIN || len > CURRENCY_LETTERS_MAX)
        return err_set(e, ERR_INVALID, "must be a currency's short name, such as \"USD\", \"EUR\" or \"CNY\"");
    return ERR_OK;
}

enum err_code check_tier(const char *value, struct err *e)
{
    size_t name;
    int64_t factor;

    if (!price_text_tier(value, &name, &factor))
        return err_set(e, ERR_INVALID, "must be a tier and its factor, from 0 to 1000, such as \"flex=0.5\"");
    return ERR_OK;
}

enum err_code check_hours(const char *value, struct err *e)
{
    struct price_hours hours;

    if (!price_text_hours(value, &hours))
        return err_set(e, ERR_INVALID, "must be hours, how far their clock is ahead of UTC, and a factor from 0 to 1000: "
                       "\"00:30-08:30+08:00=0.5\"");
    return ERR_OK;
}

enum err_code check_date(const char *value, struct err *e)
{
    int64_t ms;

    if (!price_text_date(value, &ms))
        return err_set(e, ERR_INVALID, "must be a date such as \"2026-08-01\"");
    return ERR_OK;
}

enum err_code check_extra(const char *value, struct err *e)
{
    static const char *const own[] = { "messages", "model", "stream", NULL };
    cJSON *json = json_parse(value, strlen(value));
    enum err_code code = ERR_OK;

    for (const char *const *o = own; *o && code == ERR_OK; o++)
        if (cJSON_GetObjectItemCaseSensitive(json, *o))
            code = err_set(e, ERR_INVALID, "must not contain \"%s\": Warbler sets it itself", *o);
    cJSON_Delete(json);
    return code;
}
