"""What libraries do when they get no memory, that we can neither mend nor
avoid. Each entry is one fault of one library, by the functions that have it."""
import re
from dataclasses import dataclass

# The innermost frames of a sanitizer's stack that are of a library, and named.
FAULT_IN = r"#[0-3] \S+ in (?:{}) \(\S*/{}"

# The beginning of a report, up to the callers.
REFUSED = r"\Arefused\n(?:\S*/(?:libasan|starve)\S*\n)+"


@dataclass
class Known:
    name: str
    pattern: str  # over the report: the callers of what was refused, and the fault
    times: int = 0

    def fits(self, text):
        """And counts."""
        found = re.search(self.pattern, text) is not None
        self.times += found
        return found


KNOWN = (
    # libconfig reads the configuration: at the start, when nothing was accepted yet, and at SIGHUP. 1.5 checks nothing.
    Known("libconfig 1.5 writes where it got no setting",
          FAULT_IN.format("config_init|libconfig_yyparse|config_setting_set_string_elem|config_setting_add|strbuf_append"
                          "|strvec_append|libconfig_yy_switch_to_buffer|libconfig_yylex", "libconfig")),
    Known("libconfig 1.5's lexer ends the program", REFUSED + r"\S*/libconfig\.so\.9\(libconfig_yy(?:_\w+|ensure_\w+|lex\w*)?\+"),
    # All that leaks was allocated by it, for itself.
    Known("OpenSSL 3.0 forgets pieces of what it could not set up", 
          REFUSED + r"\S*/libcrypto[\s\S]*LeakSanitizer: "
          r"(?![\s\S]*#1 \S+ in \S+ (?!\(\S*/libcrypto))[\s\S]*#1 \S+ in \S+ \(\S*/libcrypto"),
    # The sanitizer asks the C library about each new thread's stack.
    Known("the address sanitizer cannot do without", r"pthread_getattr_np\+[\s\S]*AddressSanitizer: CHECK failed"),
    Known("libwebsockets 4.1 makes a vhost without the list that it lacks",
          r"\(lws_create_vhost\+[\s\S]*#0 \S+ in lws_dll2_add_head \(.*\n.* in lws_client_connect_via_info "),
    # Both double-frees are in md_parse() itself, which has no hook for memory. It lays out what is sent to Matrix.
    Known("md4c 0.4.8 frees twice what did not grow", r"attempting double-free[\s\S]*#1 \S+ in md_parse \(\S*/libmd4c"),
    # In the resolver's thread.
    Known("glibc 2.36 aborts without nsswitch.conf's table", r"libc\.so\.6\(__nss_database_get\+|nss_database_reload_1: Assertion"),
    # Which tests alone call.
    Known("glibc 2.36 forgets in setenv() and setlocale()", r"LeakSanitizer: [\s\S]*#1 \S+ in (?:__add_to_environ|_nl_normalize_codeset) "),
)
