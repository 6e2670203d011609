/* http.c and ws.c over TLS: whom they trust, and which name they ask for. The
 * server is OpenSSL in a thread, with a certificate made here for "localhost". */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "plugin/net/http.h"
#include "plugin/net/ws.h"
#include "tests/unit/net_util.h"

#define CERTIFICATE_SECONDS 3600L

static struct loop *loop;
static char ca_file[] = "/tmp/warbler-ca-XXXXXX";
static char other_ca_file[] = "/tmp/warbler-ca-XXXXXX";

/* --- the server --- */
static SSL_CTX *tls;
static int listen_fd, port;
static pthread_t thread;
static char asked_name[64]; /* SNI of the last handshake that got so far; read after the thread is joined */

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;

    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(ext);
    X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
}

/* A certificate that is its own authority. */
static X509 *make_certificate(EVP_PKEY *key, const char *name)
{
    X509 *cert = X509_new();
    X509_NAME *subject = X509_get_subject_name(cert);
    char alt[80];

    snprintf(alt, sizeof alt, "DNS:%s", name);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -CERTIFICATE_SECONDS);
    X509_gmtime_adj(X509_getm_notAfter(cert), CERTIFICATE_SECONDS);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert, subject);
    X509_set_pubkey(cert, key);
    add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(cert, NID_subject_alt_name, alt);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

static void write_certificate(char *path, X509 *cert)
{
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");

    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, cert), 1);
    fclose(f);
}

static int note_name(SSL *ssl, int *alert, void *arg)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    (void)alert;
    (void)arg;
    snprintf(asked_name, sizeof asked_name, "%s", name ? name : "");
    return SSL_TLSEXT_ERR_OK;
}

static void answer_http(SSL *ssl)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret";

    SSL_write(ssl, reply, sizeof reply - 1);
}

static void accept_key(const char *key, char out[29])
{
    char joined[128];
    unsigned char hash[SHA_DIGEST_LENGTH];
    int n = snprintf(joined, sizeof joined, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);

    SHA1((const unsigned char *)joined, (size_t)n, hash);
    EVP_EncodeBlock((unsigned char *)out, hash, sizeof hash);
}

/* Upgrades, says "hi" in a frame and waits for the peer to leave. */
static void answer_ws(SSL *ssl, const char *key)
{
    char reply[256], accept[29], rest[256];
    int n;

    accept_key(key, accept);
    n = snprintf(reply, sizeof reply,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\n\r\n\x81\x02hi",
                 accept);
    SSL_write(ssl, reply, n);
    while (SSL_read(ssl, rest, sizeof rest) > 0)
        ;
}

static void serve_one(int fd)
{
    SSL *ssl = SSL_new(tls);
    char request[4096] = "";
    const char *key;

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1 && SSL_read(ssl, request, sizeof request - 1) > 0) {
        key = strcasestr(request, "Sec-WebSocket-Key: ");
        if (key)
            answer_ws(ssl, key + strlen("Sec-WebSocket-Key: "));
        else
            answer_http(ssl);
        SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    close(fd);
}

static void *serve_all(void *arg)
{
    int fd;

    (void)arg;
    while ((fd = accept(listen_fd, NULL, NULL)) >= 0)
        serve_one(fd);
    return NULL;
}

static void start_server(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t len = sizeof sa;

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listen_fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(listen_fd, 8), 0);
    assert_int_equal(getsockname(listen_fd, (struct sockaddr *)&sa, &len), 0);
    port = ntohs(sa.sin_port);
    asked_name[0] = '\0';
    assert_int_equal(pthread_create(&thread, NULL, serve_all, NULL), 0);
}

static void stop_server(void)
{
    shutdown(listen_fd, SHUT_RDWR); /* wakes accept() */
    pthread_join(thread, NULL);
    close(listen_fd);
}

static int make_files(void **state)
{
    EVP_PKEY *key = EVP_RSA_gen(2048), *other_key = EVP_RSA_gen(2048);
    X509 *cert = make_certificate(key, "localhost"), *other = make_certificate(other_key, "localhost");

    (void)state;
    write_certificate(ca_file, cert);
    write_certificate(other_ca_file, other);
    tls = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(tls, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);
    SSL_CTX_set_tlsext_servername_callback(tls, note_name);
    X509_free(cert);
    X509_free(other);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other_key);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    SSL_CTX_free(tls);
    unlink(ca_file);
    unlink(other_ca_file);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    loop = net_loop_new();
    start_server();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_turn(loop, false);
    loop_free(&loop);
    return 0;
}

/* --- HTTP --- */
struct call {
    char body[64];
    bool done;
    long status;
    struct err e;
};

static bool on_body(void *arg, const char *data, size_t len)
{
    struct call *c = arg;

    snprintf(c->body, sizeof c->body, "%.*s", (int)len, data);
    return true;
}

static void on_done(void *arg, const struct http_reply *reply, const struct err *e)
{
    struct call *c = arg;

    c->status = reply->status;
    c->e = *e;
    c->done = true;
}

static void get(struct call *c, const char *host, const char *trusted)
{
    static const struct http_handler handler = {NULL, on_body, on_done};
    char url[128];
    const struct http_request req = {.method = "GET",
                                     .url = url,
                                     .ca_file = trusted,
                                     .connect_timeout_ms = 5000,
                                     .first_byte_timeout_ms = 5000,
                                     .idle_timeout_ms = 5000,
                                     .max_response_bytes = 1000};
    struct http_client *client;
    struct err e = ERR_INIT;

    *c = (struct call){0};
    snprintf(url, sizeof url, "https://%s:%d/", host, port);
    assert_int_equal(http_client_new(loop, &client, &e), ERR_OK);
    assert_non_null(http_start(client, &req, &handler, c, &e));
    net_until(loop, &c->done);
    http_client_free(&client);
    stop_server();
}

static void test_https(void **state)
{
    struct call c;

    (void)state;
    get(&c, "localhost", ca_file);
    assert_int_equal(c.e.code, ERR_OK);
    assert_int_equal(c.status, 200);
    assert_string_equal(c.body, "secret");
    assert_string_equal(asked_name, "localhost");
}

static void test_https_wrong_authority(void **state)
{
    struct call c;

    (void)state;
    get(&c, "localhost", other_ca_file);
    assert_int_equal(c.e.code, ERR_NET);
    assert_non_null(strstr(c.e.text, "certificate"));
    assert_string_equal(c.body, "");
}

static void test_https_unknown_authority(void **state)
{
    struct call c;

    (void)state;
    get(&c, "localhost", NULL);
    assert_int_equal(c.e.code, ERR_NET);
    assert_string_equal(c.body, "");
}

static void test_https_wrong_name(void **state)
{
    struct call c;

    (void)state;
    get(&c, "127.0.0.1", ca_file);
    assert_int_equal(c.e.code, ERR_NET);
    assert_string_equal(c.body, "");
}

/* --- WebSocket --- */
struct side {
    bool is_open, got, ended;
    char text[16];
    struct err e;
};

static void *on_open(void *arg, struct ws *ws, const struct http_in *upgrade)
{
    struct side *s = arg;

    (void)ws;
    (void)upgrade;
    s->is_open = true;
    return s;
}

static void on_message(void *conn, const char *data, size_t len, bool binary)
{
    struct side *s = conn;

    (void)binary;
    snprintf(s->text, sizeof s->text, "%.*s", (int)len, data);
    s->got = true;
}

static void on_closed(void *conn, int code, const struct err *e)
{
    struct side *s = conn;

    (void)code;
    s->e = *e;
    s->ended = true;
}

static struct ws *connect_ws(struct side *s, const char *host, const char *trusted)
{
    static const struct ws_handler handler = {.open = on_open, .message = on_message, .closed = on_closed};
    static const struct ws_limits limits = {1000, 1000, 10000, 20000};
    char url[128];
    const struct ws_connect conf = {.url = url, .ca_file = trusted, .connect_timeout_ms = 5000};
    struct err e = ERR_INIT;
    struct ws *ws;

    *s = (struct side){0};
    snprintf(url, sizeof url, "wss://%s:%d/ws", host, port);
    ws = ws_connect(loop, &conf, &handler, &limits, s, &e);
    assert_non_null(ws);
    return ws;
}

static void test_wss(void **state)
{
    struct side s;
    struct ws *ws;

    (void)state;
    for (int i = 0; i < 2; i++) { /* the second time with the certificates that are loaded already */
        ws = connect_ws(&s, "localhost", ca_file);
        net_until(loop, &s.got);
        assert_true(s.is_open);
        assert_string_equal(s.text, "hi");
        ws_abort(&ws);
        net_turns(loop, 5);
    }
    stop_server();
    assert_string_equal(asked_name, "localhost");
}

static void refused_ws(struct side *s, const char *host, const char *trusted)
{
    connect_ws(s, host, trusted);
    net_until(loop, &s->ended);
    stop_server();
    assert_false(s->is_open);
    assert_int_equal(s->e.code, ERR_NET);
    assert_non_null(strstr(s->e.text, "certificate"));
}

static void test_wss_wrong_authority(void **state)
{
    struct side s;

    (void)state;
    refused_ws(&s, "localhost", other_ca_file);
}

static void test_wss_unknown_authority(void **state)
{
    struct side s;

    (void)state;
    refused_ws(&s, "localhost", NULL);
}

static void test_wss_wrong_name(void **state)
{
    struct side s;

    (void)state;
    refused_ws(&s, "127.0.0.1", ca_file);
}

static void test_wss_not_tls(void **state)
{
    struct step steps[] = {{.reply = NULL}};
    struct script script;
    struct side s;
    int tls_port = port;

    (void)state;
    script_start(&script, loop, steps);
    port = script.port;
    connect_ws(&s, "127.0.0.1", ca_file);
    while (script.got.len == 0)
        loop_turn(loop, true);
    script_says(&script, "HTTP/1.1 400 Bad Request\r\n\r\n");
    net_until(loop, &s.ended);
    assert_int_equal(s.e.code, ERR_NET);
    script_stop(&script);
    port = tls_port;
    stop_server();
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_https),
        T(test_https_wrong_authority),
        T(test_https_unknown_authority),
        T(test_https_wrong_name),
        T(test_wss),
        T(test_wss_wrong_authority),
        T(test_wss_unknown_authority),
        T(test_wss_wrong_name),
        T(test_wss_not_tls),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
