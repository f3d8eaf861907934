#ifndef MAIN_COMMANDS_H
#define MAIN_COMMANDS_H

#include "main/cli.h"

/* What the command line can do, by noun; each table ends with a row without a noun. */

extern const struct cli_command commands_of_accounts[];  /* team, key, token */
extern const struct cli_command commands_of_limits[];    /* limit, explain */
extern const struct cli_command commands_of_providers[]; /* provider */
extern const struct cli_command commands_of_models[];    /* model */
extern const struct cli_command commands_of_prices[];    /* price */
extern const struct cli_command commands_of_usage[];     /* calls, holds, refusals, usage */
extern const struct cli_command commands_of_system[];    /* verify, backup, doctor */

#endif
