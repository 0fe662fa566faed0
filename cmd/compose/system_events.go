package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"compose/cmd/compose/render"
	"compose/engine/image"
	"compose/internal/journal"
)

// hostEvent is an event of the installation, in the words of Docker's JSON.
type hostEvent struct {
	Type   string
	Action string
	Actor  struct {
		ID         string
		Attributes map[string]string
	}
	Scope    string `json:"scope,omitempty"`
	Time     int64  `json:"time,omitempty"`
	TimeNano int64  `json:"timeNano,omitempty"`
}

func newHostEvent(e journal.Event) *hostEvent {
	h := &hostEvent{Type: e.Type, Action: e.Action, Scope: "local", Time: e.Time.Unix(), TimeNano: e.Time.UnixNano()}
	h.Actor.ID, h.Actor.Attributes = e.ID, e.Attributes
	return h
}

func newSystemEventsCommand(app *App) *cobra.Command {
	var between timeRange
	var format string
	var words *[]string
	cmd := &cobra.Command{
		Use:   "events [OPTIONS]",
		Short: "Show what happens to containers, images, networks and volumes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := render.Inspect(io.Discard, format, []*hostEvent{{}}); err != nil {
				return &exitError{code: 64, message: "Error parsing format: " + err.Error()}
			}
			want, err := parseFilters(*words, "container", "event", "image", "label", "network", "scope", "type", "volume", "daemon")
			if err != nil {
				return err
			}
			from, to, err := between.times()
			if err != nil {
				return err
			}
			if !to.IsZero() && to.Before(from) {
				return fmt.Errorf("`since` time (%s) cannot be after `until` time (%s)", between.since, between.until)
			}
			e, err := app.openEngine()
			if err != nil {
				return err
			}
			return journal.Follow(cmd.Context(), e.Roots(), from, to, func(e journal.Event) error {
				if !wanted(want, e) {
					return nil
				}
				if format != "" {
					return render.Inspect(app.Stdout, format, []*hostEvent{newHostEvent(e)})
				}
				_, err := fmt.Fprintln(app.Stdout, eventLine(e))
				return err
			})
		},
	}
	words = filterFlag(cmd)
	fl := cmd.Flags()
	fl.StringVar(&between.since, "since", "", "Begin with what has happened since this time, as far as it is remembered")
	fl.StringVar(&between.until, "until", "", "End at this time")
	fl.StringVar(&format, "format", "", `"json" or a Go template`)
	return cmd
}

func eventLine(e journal.Event) string {
	line := fmt.Sprintf("%s %s %s %s", e.Time.Local().Format("2006-01-02T15:04:05.000000000Z07:00"), e.Type, e.Action, e.ID)
	if len(e.Attributes) == 0 {
		return line
	}
	return line + " (" + strings.Join(attributeWords(e.Attributes), ", ") + ")"
}

// attributeWords are the attributes of an event as KEY=VALUE, in order.
func attributeWords(attributes map[string]string) []string {
	words := make([]string, 0, len(attributes))
	for _, k := range slices.Sorted(maps.Keys(attributes)) {
		words = append(words, k+"="+attributes[k])
	}
	return words
}

// wanted says whether the filters let an event pass, by dockerd's rules: a
// container, network or volume is named by its name or ID, or how one of them
// begins, an image with or without its tag.
func wanted(f filters, e journal.Event) bool {
	begins := func(key string) bool {
		return f.any(key, func(v string) bool { return strings.HasPrefix(e.ID, v) || strings.HasPrefix(e.Attributes["name"], v) })
	}
	of := e.Attributes["image"]
	if e.Type == "image" {
		of = e.Attributes["name"]
	}
	return f.any("type", func(v string) bool { return e.Type == v }) &&
		f.any("event", func(v string) bool { return e.Action == v || hasDetail(v) && strings.HasPrefix(e.Action, v) }) &&
		f.any("scope", func(v string) bool { return v == "local" }) &&
		begins("container") && begins("network") && begins("volume") && begins("daemon") &&
		f.any("image", func(v string) bool { return v == e.ID || v == of || v == untagged(e.ID) || v == untagged(of) }) &&
		f.labels(e.Attributes)
}

// hasDetail says of an action that what it is about follows it after a colon.
func hasDetail(action string) bool {
	return action == "health_status" || action == "exec_create" || action == "exec_start"
}

func untagged(ref string) string {
	r, err := image.ParseReference(ref)
	if err != nil {
		return ref
	}
	return strings.TrimSuffix(r.Familiar(), ":"+r.Tag())
}
