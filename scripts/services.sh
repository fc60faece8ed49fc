#!/usr/bin/env bash
# RabbitMQ and PostgreSQL for tests and the demo: own data folders, loopback only, several at a time.
#
#   scripts/services.sh install [rabbitmq] [postgres]      install what is missing from Debian's packages
#   scripts/services.sh start  DIR [rabbitmq] [postgres]   start them (both, when none is named) with their data below DIR
#   scripts/services.sh stop   DIR [rabbitmq] [postgres]   stop what was started there, and nothing else
#   scripts/services.sh kill   DIR [rabbitmq] [postgres]   end it at once, as a crash does
#   scripts/services.sh remove DIR                         end what runs there and remove DIR with all data
#   scripts/services.sh status DIR [rabbitmq] [postgres]   say where they listen; exit code 1 when one does not run
#
# start and status print shell variables: RABBITMQ_URL=amqp://… and POSTGRES_URL=postgres://…; with FORMAT=json an object,
# with FORMAT=url the URLs alone, a line each. DIR is made where it is missing, so that PostgreSQL's user can enter it.
# Ports are free ones, kept for the next start in the same DIR; RABBITMQ_PORT and POSTGRES_PORT choose them. With OWNER=PID
# everything in DIR is ended when that process ends, however it does. Exit code 3: a service is not installed.
set -euo pipefail

die() { echo "services.sh: $*" >&2; exit "${code:-2}"; }

usage() { sed -n '2,14s/^# \{0,1\}//p' "$0" >&2; exit 2; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

pg_bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1; }

has() {
  case $1 in
    rabbitmq) [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] && command -v epmd >/dev/null ;;
    postgres) [ -n "$(pg_bin)" ] ;;
  esac
}

# Debian starts a server when it installs it. A policy that says no for the time of the installation prevents that.
install() {
  local service packages=() policy=/usr/sbin/policy-rc.d
  for service in "$@"; do
    has "$service" && continue
    case $service in
      rabbitmq) packages+=(rabbitmq-server) ;;
      postgres) packages+=(postgresql) ;;
    esac
  done
  [ ${#packages[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "install ${packages[*]} first: this is no Debian"
  local ours=""
  if ! [ -e $policy ]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
  fi
  {
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
  } >&2 || { [ -z "$ours" ] || as_root rm -f $policy; die "install ${packages[*]}: apt-get failed"; }
  [ -z "$ours" ] || as_root rm -f $policy
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port prints a port nobody listens on, outside the range that systems hand out by themselves.
free_port() {
  local port
  for _ in $(seq 50); do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    listens $port || { echo $port; return; }
  done
  die "found no free port"
}

# alive tells whether the process of a pid file still is the one that was started: its number may be another's by now.
alive() {
  local pid started
  [ -s "$1" ] || return 1
  read -r pid started <"$1"
  [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ]
}

# start_time prints when a process began, in clock ticks since boot; nothing for a dead one.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" {print $20}'; }

remember() { echo "$2 $(start_time "$2")" >"$1"; }

pid_of() { cut -d' ' -f1 "$1"; }

# end sends the signal to the process of a pid file and waits until it is gone, at most 30 s; then it is killed.
end() {
  local file=$1 signal=$2 pid i
  alive "$file" || { rm -f "$file"; return 0; }
  pid=$(pid_of "$file")
  kill -"$signal" "$pid" 2>/dev/null || true
  for i in $(seq 300); do
    alive "$file" || break
    sleep 0.1
    [ "$i" != 299 ] || kill -KILL "$pid" 2>/dev/null || true
  done
  rm -f "$file"
}

# wait_for waits until a check succeeds; it fails when the process ends first or after 90 s.
wait_for() {
  local file=$1 i
  shift
  for i in $(seq 900); do
    alive "$file" || return 1
    "$@" && return 0
    sleep 0.1
  done
  return 1
}

# --- RabbitMQ: a node of its own, with its own name, cookie, ports and name server (epmd).

rabbitmq_ready() {
  local answer
  exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
  printf 'AMQP\x00\x00\x09\x01' >&3
  answer=$(head -c 1 <&3 | od -An -tx1)
  exec 3>&-
  [ "$answer" = " 01" ] # the method frame connection.start
} 2>/dev/null

rabbitmq_start() {
  local dir=$1/rabbitmq port dist epmd
  mkdir -p "$dir"
  alive "$dir/pid" && return 0
  if ! [ -s "$dir/ports" ]; then
    echo "${RABBITMQ_PORT:-$(free_port)} $(free_port) $(free_port)" >"$dir/ports"
    [ ! -d "$dir/mnesia" ] || die "$dir has data but no ports: remove it"
    echo "mindscope-$$-$RANDOM" >"$dir/node"
  fi
  read -r port dist epmd <"$dir/ports"
  cat >"$dir/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$port
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = 1GB
total_memory_available_override_value = 4GB
log.file.level = warning
CONF
  echo '[].' >"$dir/enabled_plugins"
  export HOME="$dir" ERL_EPMD_PORT=$epmd ERL_EPMD_ADDRESS=127.0.0.1
  rm -f "$dir/.erlang.cookie"
  (umask 077; echo "$(cat "$dir/node")" | tr -d '\n' >"$dir/.erlang.cookie")
  if ! alive "$dir/epmd.pid"; then
    setsid epmd -address 127.0.0.1 -port "$epmd" </dev/null >/dev/null 2>&1 9>&- &
    remember "$dir/epmd.pid" $!
  fi
  RABBITMQ_NODENAME="$(cat "$dir/node")@localhost" RABBITMQ_NODE_PORT=$port RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 \
    RABBITMQ_DIST_PORT=$dist RABBITMQ_MNESIA_BASE="$dir/mnesia" RABBITMQ_LOG_BASE="$dir/log" \
    RABBITMQ_CONFIG_FILE="$dir/rabbitmq" RABBITMQ_ADVANCED_CONFIG_FILE="$dir/advanced" RABBITMQ_CONF_ENV_FILE=/dev/null \
    RABBITMQ_ENABLED_PLUGINS_FILE="$dir/enabled_plugins" RABBITMQ_PID_FILE="$dir/rabbitmq.pid" \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none" \
    setsid /usr/lib/rabbitmq/bin/rabbitmq-server </dev/null >"$dir/output" 2>&1 9>&- &
  remember "$dir/pid" $!
  wait_for "$dir/pid" rabbitmq_ready && return 0
  tail -20 "$dir/output" "$dir"/log/*.log >&2 2>/dev/null || true
  rabbitmq_end "$1" KILL
  return 1
}

# The start script replaces itself by the Erlang machine, or has it as its child: both are ended.
rabbitmq_end() {
  local dir=$1/rabbitmq pid child
  if alive "$dir/pid"; then
    pid=$(pid_of "$dir/pid")
    for child in $(cat "/proc/$pid/task/$pid/children" 2>/dev/null); do
      [ "$(cat "/proc/$child/comm" 2>/dev/null)" != beam.smp ] || remember "$dir/child.pid" "$child"
    done
    end "$dir/child.pid" "$2"
  fi
  end "$dir/pid" "$2"
  end "$dir/epmd.pid" TERM
}

rabbitmq_url() { read -r port _ <"$1/rabbitmq/ports" && echo "amqp://guest:guest@127.0.0.1:$port/"; }

# --- PostgreSQL: refuses to run as root, so that root runs it as the user of the package.

# as_postgres replaces this shell, so that the id of a process in the background is the server's: call it in a subshell.
as_postgres() {
  cd /
  if [ "$(id -u)" != 0 ]; then exec "$@"; else exec setpriv --reuid=postgres --regid=postgres --init-groups "$@"; fi
}

postgres_ready() { "$(pg_bin)/pg_isready" -q -h 127.0.0.1 -p "$port"; }

postgres_start() {
  local dir=$1/postgres bin port
  bin=$(pg_bin)
  mkdir -p "$dir"
  alive "$dir/pid" && return 0
  [ -s "$dir/ports" ] || echo "${POSTGRES_PORT:-$(free_port)}" >"$dir/ports"
  read -r port <"$dir/ports"
  if ! [ -d "$dir/data" ]; then
    mkdir -m 700 "$dir/data"
    [ "$(id -u)" != 0 ] || chown postgres "$dir/data"
    (as_postgres test -w "$dir/data") || die "user postgres cannot enter $dir: choose a folder that everybody may enter"
    (as_postgres "$bin/initdb" -D "$dir/data" -U mindscope --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync) \
      >"$dir/output" 2>&1 || { cat "$dir/output" >&2; rm -rf "$dir/data"; return 1; }
  fi
  (as_postgres setsid "$bin/postgres" -D "$dir/data" -c listen_addresses=127.0.0.1 -p "$port" -k '' -c shared_buffers=32MB) \
    </dev/null >"$dir/output" 2>&1 9>&- &
  remember "$dir/pid" $!
  wait_for "$dir/pid" postgres_ready && return 0
  tail -20 "$dir/output" >&2
  end "$dir/pid" KILL
  return 1
}

# INT is PostgreSQL's fast shutdown: it does not wait for clients. The processes of a killed server end by themselves, a
# moment later; until then the next one does not start.
postgres_end() {
  local file=$1/postgres/pid pid child
  alive "$file" || { rm -f "$file"; return 0; }
  pid=$(pid_of "$file")
  local children
  children=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null || true)
  end "$file" "${2/TERM/INT}"
  for child in $children; do
    for _ in $(seq 100); do
      grep -qs '^State:[[:space:]]*[^Z]' "/proc/$child/status" && [ "$(cat "/proc/$child/comm")" = postgres ] || break
      sleep 0.1
    done
  done
}

postgres_url() { read -r port <"$1/postgres/ports" && echo "postgres://mindscope@127.0.0.1:$port/postgres?sslmode=disable"; }

# --- Commands.

# start_one starts a service; ports that it chose itself and somebody else took meanwhile are chosen again.
start_one() {
  local service=$1 dir=$2 fresh=""
  [ -s "$dir/$service/ports" ] || fresh=yes
  "${service}_start" "$dir" && return 0
  [ -n "$fresh" ] || die "$service did not start; see $dir/$service"
  rm -rf "${dir:?}/$service"
  "${service}_start" "$dir" || die "$service did not start; see $dir/$service"
}

# watch ends what runs in a folder when the owner is gone. There is one watcher for a folder, until the folder is removed.
watch() {
  local owner=$1 dir=$2 script
  script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
  alive "$dir/watcher" && return 0
  remember "$dir/owner" "$owner"
  (
    exec setsid bash -c 'while "$0" owned "$1"; do sleep 1; done; [ ! -s "$1/owner" ] || "$0" kill "$1"' "$script" "$dir"
  ) </dev/null >/dev/null 2>&1 9>&- &
  remember "$dir/watcher" $!
}

show() {
  local dir=$1 service code=0 sep="{"
  shift
  for service in "$@"; do
    if ! alive "$dir/$service/pid"; then
      echo "services.sh: $service does not run in $dir" >&2
      code=1
    elif [ "${FORMAT:-}" = url ]; then
      "${service}_url" "$dir"
    elif [ "${FORMAT:-}" = json ]; then
      printf '%s"%s":"%s"' "$sep" "$service" "$("${service}_url" "$dir")"
      sep=","
    else
      printf '%s_URL="%s"\n' "${service^^}" "$("${service}_url" "$dir")"
    fi
  done
  [ "${FORMAT:-}" != json ] || { [ "$sep" = "," ] || printf '{'; printf '}\n'; }
  return $code
}

[ $# -ge 1 ] || usage
command=$1
shift
dir=""
if [ "$command" = owned ]; then
  alive "$1/owner"
  exit
fi
if [ "$command" != install ]; then
  [ $# -ge 1 ] || usage
  mkdir -p -m 755 "$1"
  dir=$(cd "$1" && pwd)
  shift
fi
[ $# -gt 0 ] || set -- rabbitmq postgres
for service in "$@"; do
  case $service in rabbitmq | postgres) ;; *) die "unknown service $service: rabbitmq or postgres" ;; esac
done
# One command at a time in a folder; the services do not inherit the lock.
if [ -n "$dir" ]; then
  exec 9>"$dir/lock"
  flock 9
fi
case $command in
  install) install "$@" ;;
  start)
    for service in "$@"; do
      has "$service" || code=3 die "$service is not installed: run scripts/services.sh install $service"
      # A subshell: what a service needs in its environment is not the next one's.
      (start_one "$service" "$dir")
    done
    [ -z "${OWNER:-}" ] || watch "$OWNER" "$dir"
    show "$dir" "$@"
    ;;
  stop) for service in "$@"; do "${service}_end" "$dir" TERM; done ;;
  kill) for service in "$@"; do "${service}_end" "$dir" KILL; done ;;
  remove)
    for service in rabbitmq postgres; do "${service}_end" "$dir" KILL; done
    rm -rf "$dir"
    ;;
  status) show "$dir" "$@" ;;
  *) usage ;;
esac
