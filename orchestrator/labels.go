package orchestrator

// The labels by which containers, networks and volumes are known to belong to
// a project. They are Docker Compose's own, so that tools that read them work.
const (
	LabelProject         = "com.docker.compose.project"
	LabelService         = "com.docker.compose.service"
	LabelNumber          = "com.docker.compose.container-number"
	LabelOneOff          = "com.docker.compose.oneoff"
	LabelSlug            = "com.docker.compose.slug"
	LabelConfigHash      = "com.docker.compose.config-hash"
	LabelConfigFiles     = "com.docker.compose.project.config_files"
	LabelWorkingDir      = "com.docker.compose.project.working_dir"
	LabelEnvironmentFile = "com.docker.compose.project.environment_file"
	LabelDependsOn       = "com.docker.compose.depends_on"
	LabelImage           = "com.docker.compose.image"
	LabelVersion         = "com.docker.compose.version"
	LabelNetwork         = "com.docker.compose.network"
	LabelVolume          = "com.docker.compose.volume"
)

// Version is what LabelVersion says; the command sets it at start-up.
var Version = "dev"
