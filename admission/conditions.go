package admission

import (
	"cmp"
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/json"

	"berth.dev/berth/cluster"
	"berth.dev/berth/conditions"
	"berth.dev/berth/placement"
)

// Budget is bytes that all requests share.
type Budget interface {
	// Size is how many there are in all.
	Size() int64
	// Take tells whether so many are left, and if so, they are the caller's until it gives them back.
	Take(bytes int64) bool
	// Give gives bytes back.
	Give(bytes int64)
}

// requestConditions answers matchConditions about a review. Only here are the objects decoded whole, and only where a policy
// asks.
type requestConditions struct {
	evaluator *Evaluator
	ctx       context.Context //nolint:containedctx // it lives as long as the one request
	review    *Review
	namespace placement.Namespace

	decoded bool
	vars    conditions.Variables
	cost    conditions.Cost
	taken   int64
	// tooLarge is why no condition has an answer, each of which goes the way of its policy's failurePolicy.
	tooLarge error
	// err is why there is no answer to the request at all.
	err error
}

func (e *Evaluator) conditions(ctx context.Context, r *Review, s scope) *requestConditions {
	return &requestConditions{evaluator: e, ctx: ctx, review: r, namespace: s.namespace}
}

func (c *requestConditions) met(program *conditions.Program, by placement.Which) (bool, error) {
	if !c.decoded {
		c.decoded = true
		c.err = c.decode()
	}
	if err := cmp.Or(c.err, c.tooLarge); err != nil {
		return false, err
	}
	vars := c.vars
	if by == placement.Old {
		vars.Object = vars.OldObject
	}
	return program.Matches(c.ctx, vars, &c.cost)
}

func (c *requestConditions) decode() error {
	size := decodedSize(c.review.values[partRequest])
	if limit := c.evaluator.Memory.Size(); size > limit {
		c.tooLarge = fmt.Errorf("its matchConditions cannot look at what takes more than %d bytes of memory: make the DaemonSet smaller", limit)
		return nil
	}
	if !c.evaluator.Memory.Take(size) {
		return ErrOverloaded
	}
	c.taken = size
	vars, err := c.review.variables()
	if err != nil {
		return err
	}
	c.vars = vars
	c.vars.Namespace = cluster.NamespaceObject(c.namespace)
	return nil
}

// release gives the memory back.
func (c *requestConditions) release() {
	if c.taken > 0 {
		c.evaluator.Memory.Give(c.taken)
	}
}

// variables is what matchConditions see of the request.
func (r *Review) variables() (conditions.Variables, *field.Error) {
	var vars conditions.Variables
	// The API server's own decoder: integers stay integers, as CEL has to see them.
	if err := json.UnmarshalCaseSensitivePreserveInts(r.values[partRequest], &vars.Request); err != nil {
		return vars, field.TypeInvalid(paths[partRequest], field.OmitValueType{}, err.Error())
	}
	vars.Object, _ = vars.Request["object"].(map[string]any)
	vars.OldObject, _ = vars.Request["oldObject"].(map[string]any)
	delete(vars.Request, "object")
	delete(vars.Request, "oldObject")
	return vars, nil
}
