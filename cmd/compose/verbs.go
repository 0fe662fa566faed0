package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// verb is what makes a verb, with the names that it has on the command line.
type verb struct {
	names string // separated by blanks
	make  func(*App) *cobra.Command
}

// projectVerbs are those about projects.
var projectVerbs = []verb{
	{"up", newUpCommand},
	{"create", newCreateCommand},
	{"down", newDownCommand},
	{"start", newStartCommand},
	{"stop", newStopCommand},
	{"restart", newRestartCommand},
	{"kill", newKillCommand},
	{"pause", newPauseCommand},
	{"unpause", newUnpauseCommand},
	{"rm", newRmCommand},
	{"ps", newPsCommand},
	{"logs", newLogsCommand},
	{"exec", newExecCommand},
	{"run", newRunCommand},
	{"attach", newAttachCommand},
	{"ls", newLsCommand},
	{"port", newPortCommand},
	{"version", newVersionCommand},
	{"build", newBuildCommand},
	{"pull", newPullCommand},
	{"push", newPushCommand},
	{"publish", newPublishCommand},
	{"scale", newScaleCommand},
	{"wait", newWaitCommand},
	{"watch", newWatchCommand},
	{"cp", newCpCommand},
	{"export", newExportCommand},
	{"commit", newCommitCommand},
	{"volumes", newVolumesCommand},
	{"stats", newStatsCommand},
	{"events", newEventsCommand},
	{"graph", newGraphCommand},
	{"config convert", newConfigCommand},
	{"images", newImagesCommand},
	{"top", newTopCommand},
	{"oci", newOCICommand},
}

// managementVerbs are the groups of verbs that `compose` and `docker` share.
var managementVerbs = []verb{
	{"container", newContainerCommand},
	{"image", newImageCommand},
	{"volume", newVolumeCommand},
	{"network", newNetworkCommand},
	{"system", newSystemCommand},
	{"builder", newBuilderCommand},
	{"login", newLoginCommand},
	{"logout", newLogoutCommand},
}

// composeVerbs are all that `compose` has by its own name.
func composeVerbs() []verb { return slices.Concat(projectVerbs, managementVerbs) }

// named makes those verbs that the command line names. All of them with their
// flags take longer to make than a short command needs.
func (app *App) named(verbs []verb) (made []*cobra.Command) {
	all := app.namesAll(verbs)
	for _, v := range verbs {
		if all || app.names(v) {
			made = append(made, v.make(app))
		}
	}
	return made
}

func (app *App) names(v verb) bool {
	for name := range strings.FieldsSeq(v.names) {
		if slices.Contains(app.args, name) {
			return true
		}
	}
	return false
}

// namesAll says whether the command line is about all verbs: it names none, or
// asks for help or for what the shell could complete.
func (app *App) namesAll(verbs []verb) bool {
	for _, word := range []string{"help", "-h", "--help", "completion", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd} {
		if slices.Contains(app.args, word) {
			return true
		}
	}
	return !slices.ContainsFunc(verbs, app.names)
}

// addOthers adds the verbs that named has left out: what looked like a verb was
// the value of a flag, and the user is shown which verbs there are.
func (app *App) addOthers(root *cobra.Command, verbs []verb) {
	if app.namesAll(verbs) {
		return
	}
	for _, v := range verbs {
		if !app.names(v) {
			root.AddCommand(v.make(app))
		}
	}
	root.CompletionOptions.DisableDefaultCmd = false
	root.InitDefaultCompletionCmd()
}
