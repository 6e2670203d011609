/* cli.h: the commands of the program, one function each; main.c has the table.
 * argv[0] is the command's own name; each parses its options with
 * cli_options(), prints what a person can use, and returns the exit status. */
#ifndef WARBLER_CLI_H
#define WARBLER_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli_option {
    const char *name;  /* "config"; matches --config VALUE and --config=VALUE */
    char letter;       /* 'c' for -c VALUE and -cVALUE; 0: none */
    const char *value; /* how the help calls it: "FILE"; NULL: a switch */
    const char *help;
    const char **into; /* the value, or "" for a switch */
};

/* What every command has that reads the configuration. */
#define CLI_CONFIG(into) { "config", 'c', "FILE", "the configuration file", into }

struct cli_command {
    const char *name;
    const char *arguments; /* behind the options: "CHANNEL", "[list|retry ID|drop ID]"; "": takes none */
    const char *summary;   /* one line */
    const char *help;      /* a paragraph or two, ends with a line break */
    int (*run)(const struct cli_command *self, int argc, char **argv);
};

/* Reads the options, wherever they stand before a "--", and moves the other
 * arguments behind them. Returns the index of the first of these (argc: none),
 * or a negative value if the command is over: --help was printed (CLI_DONE), or
 * a mistake was (CLI_WRONG). cli_status() turns these into the exit status. */
#define CLI_DONE (-1)
#define CLI_WRONG (-2)
int cli_options(const struct cli_command *self, const struct cli_option *options, size_t n, int argc, char **argv);
int cli_status(int over);

/* "warbler COMMAND: text", and how to get help. Returns EXIT_CONFIG. */
int cli_wrong(const struct cli_command *self, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A whole number from min to max and nothing else. */
bool cli_int(const char *text, int64_t min, int64_t max, int64_t *value_r);

int cli_run(const struct cli_command *self, int argc, char **argv);
int cli_check(const struct cli_command *self, int argc, char **argv);
int cli_explain(const struct cli_command *self, int argc, char **argv);
int cli_ping(const struct cli_command *self, int argc, char **argv);
int cli_chat(const struct cli_command *self, int argc, char **argv);
int cli_practice(const struct cli_command *self, int argc, char **argv);
int cli_usage(const struct cli_command *self, int argc, char **argv);
int cli_registration(const struct cli_command *self, int argc, char **argv);
int cli_queue(const struct cli_command *self, int argc, char **argv);

#endif
