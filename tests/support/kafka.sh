#!/usr/bin/env bash
# A real Apache Kafka: one KRaft node on free ports, its data and logs in a directory. No container.
#
#   kafka.sh start DIR    starts it (or finds it running), waits until it answers; prints HOST:PORT
#   kafka.sh stop DIR     stops the one of this directory, and no other
#   kafka.sh fetch        only brings the jars into the cache
#
# DIR/kafka.pid, kafka.log, kafka.bootstrap (HOST:PORT) and kafka/ (data, settings). A second start in the
# same DIR goes on with the data and, if they are still free, with the same ports. Can be sourced.
# DIR/kafka.vm-bootstrap is the same broker for clients in a VM with QEMU's user networking: there this machine's
# 127.0.0.1 is 10.0.2.2, and a broker tells its clients where to find it, so it needs a listener that says so.
set -euo pipefail
kafka_home=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
. "$kafka_home/process.sh"

# The jars are shared by all checkouts of this user; the directory's name carries the versions.
kafka_jars() {
	local cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}
	mkdir -p "$cache/gpubus" 2>/dev/null && [ -w "$cache/gpubus" ] ||
		cache=$(realpath "$kafka_home/../../build")
	echo "$cache/gpubus/kafka-$(cksum <"$kafka_home/kafka/pom.xml" | cut -d' ' -f1)"
}

kafka_fetch() {
	local jars
	jars=$(kafka_jars)
	[ ! -f "$jars/complete" ] || return 0
	mkdir -p "$jars"
	(
		flock 9
		[ ! -f "$jars/complete" ] || exit 0
		# Whoever has no home of their own has no repository there either.
		[ -w "${HOME:-/nonexistent}" ] || export MAVEN_OPTS="-Dmaven.repo.local=$jars/m2 ${MAVEN_OPTS:-}"
		mvn --batch-mode -f "$kafka_home/kafka/pom.xml" \
			org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
			-DoutputDirectory="$jars/lib" </dev/null >"$jars/maven.log" 2>&1 ||
			{ tail -n 20 "$jars/maven.log" >&2 && exit 1; }
		# Formatting a data directory costs a JVM start: do it once and copy. Only the cluster id differs.
		rm -rf "$jars/template"
		kafka_settings "$jars/template" 9092 9093 9094 >"$jars/template.properties"
		java -Xmx128m -cp "$jars/lib/*" kafka.tools.StorageTool format --ignore-formatted \
			-t "$(kafka_random_id)" -c "$jars/template.properties" >"$jars/format.log" 2>&1 ||
			{ tail -n 20 "$jars/format.log" >&2 && exit 1; }
		touch "$jars/complete"
	) 9>"$jars/lock"
}

kafka_random_id() { # 16 bytes, base64url, as Kafka's Uuid
	head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n' | sed 's/^-/A/'
}

kafka_settings() { # DATA-DIR PORT CONTROLLER-PORT VM-PORT
	cat <<-END
		process.roles=broker,controller
		node.id=1
		controller.quorum.voters=1@127.0.0.1:$3
		listeners=PLAINTEXT://127.0.0.1:$2,CONTROLLER://127.0.0.1:$3,VM://127.0.0.1:$4
		advertised.listeners=PLAINTEXT://127.0.0.1:$2,VM://10.0.2.2:$4
		controller.listener.names=CONTROLLER
		listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,VM:PLAINTEXT
		inter.broker.listener.name=PLAINTEXT
		log.dirs=$1
		auto.create.topics.enable=false
		num.partitions=1
		default.replication.factor=1
		min.insync.replicas=1
		offsets.topic.replication.factor=1
		offsets.topic.num.partitions=4
		transaction.state.log.replication.factor=1
		transaction.state.log.min.isr=1
		transaction.state.log.num.partitions=1
		share.coordinator.state.topic.replication.factor=1
		share.coordinator.state.topic.min.isr=1
		group.initial.rebalance.delay.ms=0
		group.min.session.timeout.ms=1000
		log.retention.check.interval.ms=300000
		controlled.shutdown.enable=true
	END
}

# A Metadata request (v4, no topics), by hand: the answer must name a broker. Only then can topics be made.
kafka_answers() { # PID PORT
	local count
	process_listens "$1" "$2" || return 1
	count=$(
		exec 3<>"/dev/tcp/127.0.0.1/$2" || exit 1
		printf '\0\0\0\017\0\003\0\004\0\0\0\001\377\377\0\0\0\0\0' >&3
		timeout 5 head -c 16 <&3 | od -An -tu1 -j12 -N4 | tr -d ' \n'
	) 2>/dev/null
	[ "$count" = 0001 ]
}

kafka_start() { # DIR
	local dir jars data port vm_port controller_port attempt
	mkdir -p "$1"
	dir=$(realpath "$1") data=$dir/kafka
	if process_running "$dir" kafka && [ -s "$dir/kafka.bootstrap" ]; then
		return 0
	fi
	kafka_fetch
	jars=$(kafka_jars)
	if [ ! -f "$data/meta.properties" ]; then
		rm -rf "$data"
		cp -r "$jars/template" "$data"
		sed -i "s/^cluster.id=.*/cluster.id=$(kafka_random_id)/" "$data/meta.properties"
	fi
	port=$(sed -n 's/.*://p' "$dir/kafka.bootstrap" 2>/dev/null || true)
	vm_port=$(sed -n 's/.*://p' "$dir/kafka.vm-bootstrap" 2>/dev/null || true)
	rm -f "$dir/kafka.bootstrap" "$dir/kafka.vm-bootstrap"
	for attempt in 1 2 3 4 5; do
		if [ -z "$port" ] || port_is_taken "$port"; then port=$(free_port); fi
		if [ -z "$vm_port" ] || port_is_taken "$vm_port"; then vm_port=$(free_port); fi
		controller_port=$(free_port)
		[ "$controller_port" != "$port" ] && [ "$controller_port" != "$vm_port" ] && [ "$port" != "$vm_port" ] ||
			{ vm_port= && continue; }
		kafka_settings "$data" "$port" "$controller_port" "$vm_port" >"$dir/kafka.properties"
		process_start "$dir" kafka java ${KAFKA_JVM:--Xms256m -Xmx512m -XX:+UseSerialGC} \
			-Dlog4j2.configurationFile="$kafka_home/kafka/log4j2.xml" \
			-cp "$jars/lib/*" kafka.Kafka "$dir/kafka.properties"
		if process_wait_until 60 "$dir" kafka kafka_answers "$(<"$dir/kafka.pid")" "$port"; then
			echo "10.0.2.2:$vm_port" >"$dir/kafka.vm-bootstrap"
			echo "127.0.0.1:$port" >"$dir/kafka.bootstrap"
			return 0
		fi
		process_stop "$dir" kafka 5
		grep -qi 'address already in use' "$dir/kafka.log" || break
		port= vm_port=
	done
	echo "Kafka did not start; the end of $dir/kafka.log:" >&2
	tail -n 20 "$dir/kafka.log" >&2
	return 1
}

kafka_stop() { # DIR
	process_stop "$(realpath "$1")" kafka 30
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	case "${1:-} $#" in
	"start 2") kafka_start "$2" && cat "$2/kafka.bootstrap" ;;
	"stop 2") kafka_stop "$2" ;;
	"fetch 1") kafka_fetch ;;
	*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
	esac
fi
