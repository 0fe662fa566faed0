package orchestrator

import (
	"context"
	"errors"

	"github.com/compose-spec/compose-go/v2/types"
)

// BuildImage builds a service's image.
func (h *engineHost) BuildImage(context.Context, *types.Project, types.ServiceConfig, BuildOptions) error {
	return errors.New("this version cannot build images yet; import one with compose image import")
}
