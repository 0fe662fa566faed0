package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"compose/engine"
	"compose/engine/image"
	"compose/internal/roots"
	"compose/spec"
)

// The types of a published application, as Docker Compose knows them.
const (
	artifactType   = "application/vnd.docker.compose.project"
	artifactConfig = "application/vnd.docker.compose.config.empty.v1+json"
	artifactFile   = "application/vnd.docker.compose.file+yaml"
	artifactEnv    = "application/vnd.docker.compose.envfile"

	noteVersion = "com.docker.compose.version"
	noteFile    = "com.docker.compose.file"
	noteEnvFile = "com.docker.compose.envfile"
	noteExtends = "com.docker.compose.extends"
)

// PublishOptions say what Publish does.
type PublishOptions struct {
	WithEnv    bool // the environment files too
	Digests    bool // pin the images
	App        bool // and the images themselves, into the same repository
	OCIVersion string
	// Confirm is asked about what may not be meant for everybody.
	Confirm func(question string) (bool, error)
}

// ErrDeclined says that the user said no.
var ErrDeclined = errors.New("canceled")

// Publish stores a project's files in a registry, after the images that it
// builds.
func (o *Orchestrator) Publish(ctx context.Context, p *types.Project, ref string, opts PublishOptions) error {
	p, err := p.WithProfiles([]string{"*"})
	if err != nil {
		return err
	}
	files, err := spec.Publishable(ctx, p)
	if err != nil {
		return err
	}
	if files.Included {
		return errors.New("cannot publish compose file with local includes")
	}
	if err := publishable(p, files, opts); err != nil {
		return err
	}
	if _, err := image.ParseReference(ref); err != nil {
		return err
	}
	if err := o.Push(ctx, p, nil, PushOptions{IgnoreFailures: true}); err != nil || o.DryRun != nil {
		if err == nil {
			_, err = fmt.Fprintf(o.DryRun, "publish %d files as %s\n", len(files.Files), ref)
		}
		return err
	}
	set := fileSet(files, opts.WithEnv)
	if opts.Digests || opts.App {
		pinned, err := o.pinned(ctx, p)
		if err != nil {
			return err
		}
		set.Files = append(set.Files, composeFile("image-digests.yaml", pinned))
	}
	o.Report.send(ref, Working, "publishing", "")
	var images []string
	if opts.App {
		for _, name := range sortedServices(p, nil) {
			if image := imageName(p, p.Services[name]); !slices.Contains(images, image) {
				images = append(images, image)
			}
		}
	}
	if err := o.Host.PublishFiles(ctx, ref, set, opts.OCIVersion, images); err != nil {
		o.Report.send(ref, Failed, "publishing", err.Error())
		return err
	}
	o.Report.send(ref, Done, "published", "")
	return nil
}

// publishable asks about what the files would give away, and refuses what
// would be of no use to others.
func publishable(p *types.Project, files *spec.Published, opts PublishOptions) error {
	var built, mounts []string
	for _, name := range sortedServices(p, nil) {
		s := p.Services[name]
		if s.Image == "" && s.Build != nil {
			built = append(built, fmt.Sprintf("- %q", name))
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				mounts = append(mounts, name+": "+v.Source+" on "+v.Target)
			}
		}
	}
	if len(built) > 0 {
		return fmt.Errorf("your Compose stack cannot be published as it only contains a build section for service(s):\n%s\ngive them an image", strings.Join(built, "\n"))
	}
	ask := func(found []string, what string) error {
		if len(found) == 0 {
			return nil
		}
		yes, err := opts.Confirm(fmt.Sprintf("you are about to publish %s within your OCI artifact:\n  %s\nAre you ok to publish these?", what, strings.Join(found, "\n  ")))
		if err == nil && !yes {
			err = ErrDeclined
		}
		return err
	}
	env := slices.Clone(files.Secret)
	for _, name := range files.EnvDeclared {
		env = append(env, fmt.Sprintf("service %q: env_file", name))
	}
	if opts.WithEnv {
		env = nil // that is what was asked for
	}
	return errors.Join(
		ask(mounts, "bind mounts (their declarations, not what is in them)"),
		ask(env, "environment variables that may be secret (--with-env publishes them without a question)"),
		ask(files.Contents, "literal content of configs"),
	)
}

func fileSet(files *spec.Published, withEnv bool) image.FileSet {
	set := image.FileSet{Type: artifactType, ConfigType: artifactConfig, Annotations: map[string]string{noteVersion: Version}}
	for _, f := range files.Files {
		file := composeFile(filepath.Base(f.Name), f.Data)
		if f.Extends {
			file.Annotations[noteExtends] = "true"
		}
		set.Files = append(set.Files, file)
	}
	if withEnv {
		for _, f := range files.EnvFiles {
			set.Files = append(set.Files, image.File{MediaType: artifactEnv, Data: f.Data, Annotations: map[string]string{noteVersion: Version, noteEnvFile: f.Name}})
		}
	}
	return set
}

func composeFile(name string, data []byte) image.File {
	return image.File{MediaType: artifactFile, Data: data, Annotations: map[string]string{noteVersion: Version, noteFile: name}}
}

// pinned is a Compose file that names the services' images by their digests.
func (o *Orchestrator) pinned(ctx context.Context, p *types.Project) ([]byte, error) {
	p, err := p.WithImagesResolved(func(named reference.Named) (digest.Digest, error) {
		return o.Host.RemoteDigest(ctx, named.String())
	})
	if err != nil {
		return nil, err
	}
	over := types.Project{Services: types.Services{}}
	for name, s := range p.Services {
		var only types.ServiceConfig
		only.Image = s.Image
		over.Services[name] = only
	}
	return over.MarshalYAML()
}

// RemoteDigest is what a registry has under a name.
func (h *engineHost) RemoteDigest(ctx context.Context, ref string) (digest.Digest, error) {
	return image.RemoteDigest(ctx, h.roots.State, ref)
}

// PublishFiles stores files in a registry, and beside them copies of images.
func (h *engineHost) PublishFiles(ctx context.Context, ref string, set image.FileSet, ociVersion string, images []string) error {
	d, err := h.engine.Images().PushFiles(ctx, ref, set, ociVersion)
	if err != nil || len(images) == 0 {
		return err
	}
	_, err = h.engine.Images().PushIndex(ctx, ref, d, images, set.Annotations)
	return err
}

// FetchPublished writes the files of a published application into a directory
// below dir that is named by their digest, and returns it.
func FetchPublished(ctx context.Context, r roots.Roots, ref string) (string, error) {
	e, err := engine.Open(r)
	if err != nil {
		return "", err
	}
	set, d, err := e.Images().PullFiles(ctx, ref, artifactType, artifactConfig)
	if err != nil {
		return "", fmt.Errorf("failed to pull OCI resource %q: %w", ref, err)
	}
	published, _ := fetchedDirs(r)
	return fetchedOnce(published, d.Encoded(), func(dir string) error {
		if err := writePublished(dir, set); err != nil {
			return fmt.Errorf("%s: %w", ref, err)
		}
		return nil
	})
}

// writePublished writes the files of an application: the Compose files become
// one of several documents, the others keep their names, which must be plain.
func writePublished(dir string, set *image.FileSet) error {
	var compose []byte
	for _, f := range set.Files {
		name := ""
		switch {
		case f.MediaType == artifactEnv:
			name = f.Annotations[noteEnvFile]
		case f.MediaType != artifactFile:
			continue
		case f.Annotations[noteExtends] != "":
			name = f.Annotations[noteFile]
		default:
			if len(compose) > 0 {
				compose = append(compose, "\n---\n"...)
			}
			compose = append(compose, f.Data...)
			continue
		}
		if name == "" || name == "." || name == ".." || name == "compose.yaml" || strings.ContainsAny(name, "/\\\x00") {
			return fmt.Errorf("invalid OCI artifact: it has a file of the name %q", name)
		}
		if err := os.WriteFile(filepath.Join(dir, name), f.Data, 0o600); err != nil {
			return err
		}
	}
	if compose == nil {
		return errors.New("it has no Compose file")
	}
	return os.WriteFile(filepath.Join(dir, "compose.yaml"), compose, 0o600)
}
