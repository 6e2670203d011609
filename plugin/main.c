/* main.c: the commands of the program. */
#include <stdio.h>
#include <string.h>

#include "config/nearest.h"
#include "plugin/cli.h"
#include "plugin/daemon.h"

static const struct cli_command commands[] = {
    { "run", "", "run the bot, in the foreground",
      "Reads the configuration, opens the listener and keeps every account online\n"
      "until it is told to stop. Logs to standard error.\n"
      "\n"
      "SIGTERM, SIGINT  finish what is running and stop; a second one stops at once\n"
      "SIGHUP           read the configuration again, or keep the old one and say why\n",
      cli_run },
    { "check", "", "read the configuration and tell everything that is wrong with it",
      "Contacts nobody. Exit status 0 if the bot can run with it, else 1 and all\n"
      "errors, each with its line.\n",
      cli_check },
    { "explain", "CHANNEL", "tell what applies to a channel, and why",
      "CHANNEL is ACCOUNT:CHAT, or ACCOUNT:CHAT/THREAD. Tells which rule of the\n"
      "configuration is the first that matches and which were passed over, the bot, its\n"
      "model, when it answers, its limits and its prompt, and what administrators\n"
      "changed in the channel with /model, /prompt and /mute. Exit status 1 if no rule\n"
      "matches.\n",
      cli_explain },
    { "ping", "", "contact every account and model once",
      "One line each: ok, or the reason why not. An account that the bot serves itself,\n"
      "like the web chat, is ok if a running daemon says that it is. Behind it stands\n"
      "what an account, or the running daemon, has to remark. Exit status 0 if all are\n"
      "ok, else 1.\n",
      cli_ping },
    { "chat", "", "talk with the bot of a running daemon",
      "Each line is a message; Ctrl-D leaves. The next chat at the same address goes\n"
      "on with the conversation, unless --new begins another.\n"
      "\n"
      "If standard input is a pipe or a file, each line is sent when the one before is\n"
      "answered, and the answers are printed and nothing else:\n"
      "\n"
      "  printf 'What is a warbler?\\n' | warbler chat\n"
      "\n"
      "Exit status 2 if there is no web chat at the address, 1 if a line was not taken\n"
      "or not answered.\n",
      cli_chat },
    { "queue", "[list | retry ID | drop ID]", "what waits for an answer, and what failed for good",
      "list   the messages that wait, and those that failed for good (dead letters)\n"
      "retry  have the bot try a failed message again\n"
      "drop   give a message up: it will not be answered\n"
      "\n"
      "Works beside a running daemon and without one. Without a command: list.\n",
      cli_queue },
    { "usage", "", "what answers cost: tokens and money",
      "Adds up the records of the store, one line for each account, channel, person,\n"
      "model or day. Money is calculated by the list `prices` of the configuration at\n"
      "the time of the answer, or is what the server itself said.\n"
      "\n"
      "Works beside a running daemon and without one.\n",
      cli_usage },
    { "matrix-registration", "[ACCOUNT]", "what a homeserver must install to let the bot in",
      "Prints the registration file of an account that is an application service, for\n"
      "the homeserver's administrator. Without ACCOUNT: of the only one there is.\n",
      cli_registration },
    { "practice-model", "", "a small server that plays a language model",
      "Speaks the Chat Completions interface (POST /v1/chat/completions with and without\n"
      "streaming, GET /v1/models), takes any key, and answers by rules: for trying out,\n"
      "tests and benchmarks. Prints its address and runs until it is told to stop.\n"
      "\n"
      "A message can ask for more: #echo TEXT, #fail 429, #fail 500, #fail cut, #sleep MS,\n"
      "#len N, #history.\n",
      cli_practice },
};
#define N_COMMANDS (sizeof commands / sizeof *commands)

static void print_help(FILE *out)
{
    fputs("Usage: warbler COMMAND [OPTION]... [ARGUMENT]...\n"
          "\n"
          "Puts a language model into chat rooms.\n"
          "\n"
          "Commands:\n",
          out);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-20s %s\n", commands[i].name, commands[i].summary);
    fputs("\n"
          "`warbler COMMAND --help` tells more; `warbler --version` tells which warbler\n"
          "this is.\n"
          "\n"
          "The configuration is the FILE of -c, else $WARBLER_CONFIG, else ./warbler.conf,\n"
          "else /etc/warbler/warbler.conf.\n"
          "\n"
          "Exit status: 0 done, 1 usage or configuration wrong, 2 could not start,\n"
          "3 internal error.\n",
          out);
}

static int unknown_command(const char *name)
{
    struct nearest near;
    char hint[NEAREST_BYTES];
    nearest_init(&near, name);
    for (size_t i = 0; i < N_COMMANDS; i++)
        nearest_try(&near, commands[i].name);
    fprintf(stderr, "warbler: unknown command \"%s\"%s\nTry `warbler --help`.\n", name, nearest_hint(&near, hint));
    return EXIT_CONFIG;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_CONFIG;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("warbler " WARBLER_VERSION);
        return 0;
    }
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].run(&commands[i], argc - 1, argv + 1);
    return unknown_command(name);
}

int main(int argc, char **argv)
{
    int status = dispatch(argc, argv);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fputs("warbler: cannot write to standard output\n", stderr);
    return status ? status : EXIT_INTERNAL;
}
