"""What libraries do when they get no memory, that we can neither mend nor
avoid. Each entry is one fault of one library, by the functions that have it."""
import re
from dataclasses import dataclass

# The innermost frames of a sanitizer's stack that are of a library, and named.
FAULT_IN = r"#[0-3] \S+ in (?:{}) \(\S*/{}"


@dataclass(frozen=True)
class Known:
    name: str
    pattern: str  # over the report: the callers of what was refused, and the fault

    def fits(self, text):
        return re.search(self.pattern, text) is not None


KNOWN = (
    # libconfig reads the configuration: at the start, when nothing was accepted yet, and at SIGHUP. 1.5 checks nothing.
    Known("libconfig 1.5 writes where it got no setting",
          FAULT_IN.format("config_init|libconfig_yyparse|config_setting_set_string_elem|config_setting_add|strbuf_append"
                          "|strvec_append|libconfig_yy_switch_to_buffer|libconfig_yylex", "libconfig")),
    Known("libconfig 1.5's lexer ends the program", r"out of dynamic memory in (?:libconfig_)?yy\w+\(\)"),
    # All that leaks was allocated by it, for itself.
    Known("OpenSSL 3.0 forgets pieces of what it could not set up", 
          r"\Arefused\n(?:\S*/(?:libasan|starve)\S*\n)+\S*/libcrypto[\s\S]*LeakSanitizer: "
          r"(?![\s\S]*#1 \S+ in \S+ (?!\(\S*/libcrypto))[\s\S]*#1 \S+ in \S+ \(\S*/libcrypto"),
    # The sanitizer asks the C library about each new thread's stack.
    Known("the address sanitizer cannot do without", r"pthread_getattr_np\+[\s\S]*AddressSanitizer: CHECK failed"),
    # In the resolver's thread.
    Known("glibc 2.36 aborts without nsswitch.conf's table", r"libc\.so\.6\(__nss_database_get\+"),
)
