#!/bin/bash
# Prepares an empty data directory once, then becomes the server.
set -euo pipefail
shopt -s nullglob

say() { printf '%s [entrypoint] %s\n' "$(date -u +'%F %T+00:00')" "$*"; }
die() { say "error: $*" >&2; exit 1; }

# value NAME: $MARIADB_NAME, or $MYSQL_NAME, or what the file in either's _FILE holds
value() {
	local prefix name file
	for prefix in MARIADB MYSQL; do
		name=${prefix}_$1 file=${prefix}_$1_FILE
		if [ -n "${!name:-}" ]; then printf '%s' "${!name}"; return; fi
		if [ -n "${!file:-}" ]; then cat -- "${!file}"; return; fi
	done
}

# quote TEXT: TEXT as an SQL string, safe in any sql_mode used below
quote() {
	local text=${1//\\/\\\\}
	printf "'%s'" "${text//\'/\'\'}"
}

client() { mariadb --protocol=socket --socket="$socket" -uroot --comments "$@"; }

init_files() {
	local f
	for f in /docker-entrypoint-initdb.d/*; do
		case $f in
		*.sh)
			say "running $f"
			if [ -x "$f" ]; then "$f"; else . "$f"; fi
			;;
		*.sql) say "running $f"; client ${database:+"$database"} <"$f" ;;
		*.sql.gz) say "running $f"; gzip -dc "$f" | client ${database:+"$database"} ;;
		*.sql.xz) say "running $f"; xz -dc "$f" | client ${database:+"$database"} ;;
		*.sql.zst) say "running $f"; zstd -dcq "$f" | client ${database:+"$database"} ;;
		*) say "ignoring $f" ;;
		esac
	done
}

prepare() {
	local password user server said try
	password=$(value ROOT_PASSWORD)
	database=$(value DATABASE)
	user=$(value USER)
	if [ -z "$password" ]; then
		if [ -n "$(value RANDOM_ROOT_PASSWORD)" ]; then
			password=$(pwgen --numerals --capitalize --symbols --remove-chars="'\\" -1 32)
			say "GENERATED ROOT PASSWORD: $password"
		elif [ -z "$(value ALLOW_EMPTY_ROOT_PASSWORD)$(value ALLOW_EMPTY_PASSWORD)" ]; then
			die "the database is not set up yet and no password option is given:" \
				"set one of MARIADB_ROOT_PASSWORD, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD, MARIADB_RANDOM_ROOT_PASSWORD"
		fi
	fi

	# What an interrupted set-up left behind would pass for a database, but
	# without its users; the mark says so and it is made again.
	find "$datadir" -mindepth 1 -delete
	touch "$datadir/.being-set-up"

	say "setting up the database in $datadir"
	if ! said=$(mariadb-install-db --datadir="$datadir" --auth-root-authentication-method=normal \
		--skip-test-db --skip-name-resolve 2>&1); then
		die "mariadb-install-db: $said"
	fi

	socket=/run/mysqld/set-up.sock
	"$@" --skip-networking --socket="$socket" --datadir="$datadir" &
	server=$!
	for try in {1..300}; do
		client -e 'SELECT 1' >/dev/null 2>&1 && break
		kill -0 "$server" 2>/dev/null || die "the server ended during set-up"
		sleep 0.2
	done
	client -e 'SELECT 1' >/dev/null || die "the server did not answer during set-up"

	{
		printf "SET sql_mode='', @@SESSION.SQL_LOG_BIN=0;\n"
		# Accounts without a password that the set-up makes for this host's own names
		printf "DELETE FROM mysql.global_priv WHERE Host <> 'localhost' OR User NOT IN ('root', 'mariadb.sys');\n"
		printf "FLUSH PRIVILEGES;\n"
		printf "CREATE USER 'root'@'%%' IDENTIFIED BY %s;\n" "$(quote "$password")"
		printf "GRANT ALL ON *.* TO 'root'@'%%' WITH GRANT OPTION;\n"
		[ -z "$database" ] || printf 'CREATE DATABASE IF NOT EXISTS `%s`;\n' "${database//\`/\`\`}"
		if [ -n "$user" ]; then
			printf "CREATE USER %s@'%%' IDENTIFIED BY %s;\n" "$(quote "$user")" "$(quote "$(value PASSWORD)")"
			[ -z "$database" ] || printf "GRANT ALL ON \`%s\`.* TO %s@'%%';\n" "${database//_/\\_}" "$(quote "$user")"
		fi
		# Last, because it shuts this session's successors out until they know it
		printf "SET PASSWORD FOR 'root'@'localhost' = PASSWORD(%s);\n" "$(quote "$password")"
	} | client
	export MYSQL_PWD=$password

	init_files

	unset MYSQL_PWD
	MYSQL_PWD=$password mariadb-admin --protocol=socket --socket="$socket" -uroot shutdown
	wait "$server" || die "the server failed during set-up"
	rm "$datadir/.being-set-up"
	say "the database is set up"
}

# Options alone are the server's
case ${1:-} in -*) set -- mariadbd "$@" ;; esac

case ${1:-} in
mariadbd | mysqld)
	datadir=/var/lib/mysql
	for option; do
		case $option in
		--datadir=*) datadir=${option#*=} ;;
		--help | --version | -V | -\?) exec "$@" ;;
		esac
	done
	if [ "$(id -u)" = 0 ]; then
		mkdir -p "$datadir" /run/mysqld
		find "$datadir" /run/mysqld \! -user mysql -exec chown mysql: '{}' +
		exec setpriv --reuid=mysql --regid=mysql --init-groups "$0" "$@"
	fi
	if [ ! -d "$datadir/mysql" ] || [ -e "$datadir/.being-set-up" ]; then
		prepare "$@"
	fi
	;;
esac
exec "$@"
