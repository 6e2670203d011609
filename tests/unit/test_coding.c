/* coding.c: what an Accept-Encoding says of gzip. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plugin/web/coding.h"

static void test_accepted(void **state)
{
    static const struct {
        const char *accept;
        bool accepted;
    } cases[] = {
        {NULL, false},
        {"", false},
        {"gzip", true},
        {"GZip", true},
        {"gzip, deflate, br, zstd", true}, /* Chromium's */
        {"br,gzip", true},
        {" , br ,\tgzip ,", true},
        {"br", false},
        {"gzipp", false},
        {"gzi", false},
        {"not-gzip", false},
        {"br;gzip", false},
        /* weights */
        {"gzip;q=1", true},
        {"gzip;q=1.000", true},
        {"gzip ; q=0.5", true},
        {"gzip;Q=0.001", true},
        {"gzip;q=0.", false},
        {"gzip;q=0", false},
        {"gzip;q=0.000", false},
        {"br;q=1, gzip;q=0 , *", false},
        {"gzip;q=1.", true},
        {"gzip;q=1.001", false},
        {"gzip;q=0.0001", false},
        {"gzip;q=2", false},
        {"gzip;q=", false},
        {"gzip;q", false},
        {"gzip;", false},
        {"gzip;q=.5", false},
        {"gzip;q=-1", false},
        {"gzip;q=0,5", false},
        {"gzip;q=0x1", false},
        {"gzip;level=9", false},
        {"gzip q=1", false},
        /* whatever else there is */
        {"*", true},
        {"br, *;q=0.1", true},
        {"*;q=0", false},
        {"*;q=0, gzip", true},
        {"gzip, *;q=0", true},
        {"gzip;q=0, *;q=1", false},
        /* rather plain */
        {"identity", false},
        {"identity, gzip", true},
        {"identity;q=1, gzip;q=0.5", false},
        {"gzip;q=0.5, identity;q=0.5", true},
        {"gzip;q=0.501, identity;q=0.502", false},
        {"identity;q=0, gzip;q=0.001", true},
        {"identity;q=0", false},
        {"identity;q=0.5, *;q=0.4", false},
        {"identity;q=0.5, *;q=0.6", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (coding_accepted(cases[i].accept, "gzip") != cases[i].accepted)
            fail_msg("\"%s\"", cases[i].accept ? cases[i].accept : "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
