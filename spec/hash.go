package spec

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"compose/internal/sparsejson"
)

// ConfigHash tells one configuration of a service's containers from another;
// it is Docker Compose's, as `config --hash` prints it. What does not change a
// container (how many there are, what it depends on, how its image comes
// about) does not count.
func ConfigHash(s types.ServiceConfig) string {
	sum := sha256.Sum256(inHashOrder(ContainerConfig(s)))
	return hex.EncodeToString(sum[:])
}

// ContainerConfig is the JSON form of what of a service makes its containers
// what they are.
func ContainerConfig(s types.ServiceConfig) json.RawMessage {
	s.Build, s.PullPolicy, s.Scale, s.DependsOn, s.Profiles = nil, "", nil, nil, nil
	if s.Deploy != nil {
		deploy := *s.Deploy
		deploy.Replicas = nil
		s.Deploy = &deploy
	}
	data, err := sparsejson.Marshal(s)
	if err != nil {
		panic(err) // plain data of the loader: it always has a JSON form
	}
	return data
}

// hashOrder is the order in which a service's fields are hashed. It is that of
// an old version of the loader's type, kept so that hashes stay what they were.
const hashOrder = `
	profiles annotations attach build develop blkio_config cap_add cap_drop cgroup_parent cgroup
	cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpus cpuset cpu_shares
	command configs container_name credential_spec depends_on deploy device_cgroup_rules devices
	dns dns_opt dns_search dockerfile domainname entrypoint provider environment env_file expose
	extends external_links extra_hosts group_add gpus hostname healthcheck image init ipc isolation
	labels label_file links logging log_driver log_opt mem_limit mem_reservation memswap_limit
	mem_swappiness mac_address models net network_mode networks oom_kill_disable oom_score_adj pid
	pids_limit platform ports privileged pull_policy read_only restart runtime scale secrets
	security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty
	ulimits use_api_socket user userns_mode uts volume_driver volumes volumes_from working_dir
	pre_start post_start pre_stop pull_refresh_after umask`

// inHashOrder writes the fields of a JSON object anew; those that are in no
// order come last, by name.
func inHashOrder(object []byte) []byte {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(object, &fields); err != nil {
		panic(err) // it was marshalled a moment ago
	}
	out := bytes.NewBuffer(make([]byte, 0, len(object)))
	separator := byte('{')
	write := func(name string) {
		key, _ := json.Marshal(name) // a string: it cannot fail
		out.WriteByte(separator)
		out.Write(key)
		out.WriteByte(':')
		out.Write(fields[name])
		separator = ','
	}
	for name := range strings.FieldsSeq(hashOrder) {
		if _, ok := fields[name]; ok {
			write(name)
			delete(fields, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		write(name)
	}
	out.WriteByte('}')
	return out.Bytes()
}
