//! What `--help` says of each command.

pub(super) const ALL: &str = "\
Begin with:
  toolrack serve                     serve the built-in profile `dev` on this machine
  toolrack profiles recommend        see which profile fits this machine
  toolrack profiles show dev         see what it is made of
  toolrack explain                   see every value, and where it came from

Every key of a profile can also be set by an environment variable, with two underscores between
tables: TOOLRACK_LAYER__TIMEOUT__DEADLINE_MS=5000.

Exit codes:
   0  as asked
   1  a self-test saw a protection fail
 3-5  diff: what changes is live, drains, or takes a restart
  64  the command line is wrong
  70  a fault of ours
  75  not now, for example a port in use; a self-test that is not whole
  78  the profile, or something that it names, is wrong";

pub(super) const SERVE: &str = "\
Examples:
  toolrack serve
  toolrack serve --profile my.toml
  toolrack serve --set listen.public.http.bind=127.0.0.1:0
  toolrack serve --profile desktop --set plugin.filesystem.config.root=/srv/docs
  toolrack serve --profile my.toml --allow-last-good

The last good one is looked for in `history.folder`: of --set, else of TOOLRACK_HISTORY__FOLDER, else of
the profile, as far as that key itself can be read.";

pub(super) const CHECK: &str = "\
Examples:
  toolrack check --profile my.toml
  toolrack check --profile my.toml --set layer.timeout.deadline_ms=5000

It reads the profile and those that it extends, and nothing else: that libraries are there, ports
are free and plugins like their configuration shows when `toolrack serve` starts.";

pub(super) const EXPLAIN: &str = "\
Examples:
  toolrack explain
  toolrack explain layer.timeout
  toolrack explain --profile my.toml plugin.files
  toolrack explain --profile my.toml --call request.json --from 203.0.113.9
  toolrack explain --call request.http --header 'Origin: https://chat.example.com'";

pub(super) const BENCH: &str = "\
Examples:
  toolrack bench                                     an appliance of its own, with the profile `dev`
  toolrack bench --profile my.toml --quick
  toolrack bench --apart                             load and appliance on processors of their own
  toolrack bench --url http://127.0.0.1:8080/mcp --control http://127.0.0.1:9090
  toolrack bench --tool now --arguments '{\"zone\":\"Europe/Berlin\"}' --out figures

Without --calls-per-sec it first finds the highest rate at which 99 % of the calls are accepted.
Ctrl-C ends it with the figures so far. Load only servers that are yours to load.";

pub(super) const SELFTEST: &str = "\
Examples:
  toolrack selftest
  toolrack selftest --control unix:/run/toolrack/control --json
  toolrack selftest --layer rate_limit --layer concurrency

Run it on the machine of the appliance, after every deployment. Clients do not notice: the lane has
listeners, states and a plugin of its own, and ends within a minute. Exit code 1 says that a
protection did not do what the profile says, 75 that there was no test or no whole one: the report says
what kept it, for example that the plugin `probe` is missing.";

pub(super) const RELOAD: &str = "\
Examples:
  toolrack reload
  toolrack reload --wait
  toolrack reload --wait --control unix:/run/toolrack/control

The appliance reads the profile that it was started with, with the same --set and environment. With
--wait: exit code 0 when the profile is what serves, 78 when it was refused with reasons (what was
there before serves on), 75 when the appliance could not be asked.";

pub(super) const DIFF: &str = "\
Examples:
  toolrack diff my.toml
  toolrack diff my.toml --json --control unix:/run/toolrack/control
  toolrack diff dev

The profile is checked here, then compared by the appliance with what it serves, under its own --set
and environment, as if it took the place of the file that it was started with. Plugins are not
started. What needs nothing to be replaced is live; what drains lets calls under way end on what was
there before; one change that takes a restart has all of them refused while the process lives.

Exit codes:
   0  nothing would change
   3  every change is live
   4  something is replaced, and drains
   5  something takes a restart
  75  the appliance could not be asked
  78  the profile is wrong, here or there";

pub(super) const UPGRADE: &str = "\
Examples:
  install -m 755 toolrack /usr/local/bin/toolrack.new && mv /usr/local/bin/toolrack.new /usr/local/bin/toolrack
  toolrack upgrade
  toolrack upgrade --program /opt/toolrack-2/toolrack --control unix:/run/toolrack/control

The program that serves starts the one that is now where it was started from, with the same arguments, hands over its
sockets, sessions and limits, answers what it has and ends. Exit code 0 when the new one serves; 78 when it could not
take over, with the reasons (the old one serves on); 75 when the appliance could not be asked.";

pub(super) const GENERATIONS: &str = "\
Examples:
  toolrack generations
  toolrack generations --json --control unix:/run/toolrack/control";

pub(super) const ROLLBACK: &str = "\
Examples:
  toolrack rollback              to the last good generation of other content
  toolrack rollback 41
  toolrack rollback --control unix:/run/toolrack/control

The values of then serve as a new generation, with the libraries of then. The files of the profile stay
as they are and come in again when they change, by `toolrack reload`, or by a restart. Exit code 0 when
the generation serves, 78 when it was refused with reasons, 75 when the appliance could not be asked.";

pub(super) const SHOW: &str = "\
Example:
  toolrack profiles show dev > my.toml";

pub(super) const RECOMMEND: &str = "\
Examples:
  toolrack profiles recommend
  toolrack profiles recommend --cores 4 --memory 8GiB";

pub(super) const SCHEMA: &str = "\
Examples:
  toolrack schema > profile.schema.json
  toolrack schema --non-reloadable
and as the first line of a profile:
  #:schema ./profile.schema.json";

pub(super) const INSPECT: &str = "\
Example:
  toolrack plugin inspect ./libweather.so";
