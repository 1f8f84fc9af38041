package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// populate makes the container's root folder: the program, and the volumes where they are mounted.
func (p *Pod) populate(ctx context.Context) error {
	if err := os.MkdirAll(p.root, 0o755); err != nil {
		return err
	}
	// The folders above belong to one run and one user; the container's user has to pass.
	for dir := p.root; dir != filepath.Dir(p.host.cp.dir); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Link(p.binary(), filepath.Join(p.root, programInRoot)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	env, err := p.environment()
	if err != nil {
		return err
	}
	p.process.env = env
	if err := p.limitMemory(); err != nil {
		return err
	}
	return p.writeVolumes(ctx)
}

// limitMemory puts the container into a memory cgroup, where this machine has any to give, and shows it the limit.
func (p *Pod) limitMemory() error {
	limit := p.container.Resources.Limits.Memory().Value()
	if limit == 0 || p.process.memory != nil {
		return nil
	}
	p.process.memory, p.noMemory = newMemoryGroup(p.Name, limit)
	shown := filepath.Join(p.root, "sys", "fs", "cgroup")
	if err := os.MkdirAll(shown, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(shown, "memory.max"), fmt.Appendln(nil, limit), 0o644)
}

// leaveMemory removes the cgroup of a container that has ended.
func (p *Pod) leaveMemory() {
	if err := p.process.memory.remove(); err != nil {
		p.say(err.Error())
	}
}

// binary is the program of the container's image.
func (p *Pod) binary() string {
	if other := p.host.Binaries[p.container.Image]; other != "" {
		return other
	}
	return p.host.Binary
}

// refresh brings changed Secrets to the container.
func (p *Pod) refresh(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(volumePeriod):
		}
		if err := p.writeVolumes(ctx); err != nil {
			p.say(err.Error())
		}
	}
}

func (p *Pod) writeVolumes(ctx context.Context) error {
	for _, mount := range p.container.VolumeMounts {
		for i := range p.object.Spec.Volumes {
			volume := &p.object.Spec.Volumes[i]
			if volume.Name != mount.Name {
				continue
			}
			content, err := p.content(ctx, volume, filepath.Join(p.root, mount.MountPath))
			if err != nil {
				return fmt.Errorf("volume %s: %w", volume.Name, err)
			}
			if err := p.publish(filepath.Join(p.root, mount.MountPath), content); err != nil {
				return fmt.Errorf("volume %s: %w", volume.Name, err)
			}
		}
	}
	return nil
}

// content is what the files of a volume have to hold.
func (p *Pod) content(ctx context.Context, volume *corev1.Volume, mounted string) (map[string][]byte, error) {
	switch {
	case volume.Secret != nil:
		return p.secret(ctx, volume.Secret.SecretName, nil)
	case volume.ConfigMap != nil:
		return p.configMap(ctx, volume.ConfigMap.Name, volume.ConfigMap.Items)
	case volume.Projected != nil:
		content := map[string][]byte{}
		for _, source := range volume.Projected.Sources {
			some, err := p.projected(ctx, source, mounted)
			if err != nil {
				return nil, err
			}
			maps.Copy(content, some)
		}
		return content, nil
	}
	return nil, errors.New("only Secret, ConfigMap and projected volumes are known here")
}

func (p *Pod) projected(ctx context.Context, source corev1.VolumeProjection, mounted string) (map[string][]byte, error) {
	switch {
	case source.ServiceAccountToken != nil:
		path := source.ServiceAccountToken.Path
		if token, err := os.ReadFile(filepath.Join(mounted, path)); err == nil {
			return map[string][]byte{path: token}, nil // No run is as long as a token lasts.
		}
		token, err := p.token(ctx, source.ServiceAccountToken)
		return map[string][]byte{path: token}, err
	case source.ConfigMap != nil:
		return p.configMap(ctx, source.ConfigMap.Name, source.ConfigMap.Items)
	case source.Secret != nil:
		return p.secret(ctx, source.Secret.Name, source.Secret.Items)
	case source.DownwardAPI != nil:
		content := map[string][]byte{}
		for _, item := range source.DownwardAPI.Items {
			if item.FieldRef == nil || item.FieldRef.FieldPath != "metadata.namespace" {
				return nil, errors.New("downwardAPI: only metadata.namespace is known here")
			}
			content[item.Path] = []byte(p.Namespace)
		}
		return content, nil
	}
	return nil, errors.New("a projected source that is not known here")
}

// token is one of the pod's ServiceAccount, bound to the pod.
func (p *Pod) token(ctx context.Context, projection *corev1.ServiceAccountTokenProjection) ([]byte, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: projection.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: p.Name, UID: p.object.UID},
	}}
	answer, err := p.host.cp.Client.CoreV1().ServiceAccounts(p.Namespace).CreateToken(ctx, p.object.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return []byte(answer.Status.Token), nil
}

func (p *Pod) secret(ctx context.Context, name string, items []corev1.KeyToPath) (map[string][]byte, error) {
	secret, err := p.host.cp.Client.CoreV1().Secrets(p.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return choose(secret.Data, items), nil
}

func (p *Pod) configMap(ctx context.Context, name string, items []corev1.KeyToPath) (map[string][]byte, error) {
	configMap, err := p.host.cp.Client.CoreV1().ConfigMaps(p.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	content := map[string][]byte{}
	for key, value := range configMap.Data {
		content[key] = []byte(value)
	}
	return choose(content, items), nil
}

func choose(data map[string][]byte, items []corev1.KeyToPath) map[string][]byte {
	if items == nil {
		return data
	}
	chosen := map[string][]byte{}
	for _, item := range items {
		if value, found := data[item.Key]; found {
			chosen[item.Path] = value
		}
	}
	return chosen
}

// publish replaces all files of a volume in one step, as a kubelet does: the files are links into ..data, which is a
// link to a folder that is complete before it gets that name.
func (p *Pod) publish(dir string, content map[string][]byte) error {
	data := filepath.Join(dir, "..data")
	if same(data, content) {
		return nil
	}
	version := "..v" + strconv.FormatInt(time.Now().UnixNano(), 36)
	if err := os.MkdirAll(filepath.Join(dir, version), 0o755); err != nil {
		return err
	}
	for name, value := range content {
		if err := os.WriteFile(filepath.Join(dir, version, name), value, 0o644); err != nil {
			return err
		}
	}
	old, _ := os.Readlink(data)
	if err := os.Symlink(version, data+"_tmp"); err != nil {
		return err
	}
	if err := os.Rename(data+"_tmp", data); err != nil {
		return err
	}
	for name := range content {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if old == "" {
		return nil
	}
	return os.RemoveAll(filepath.Join(dir, old))
}

func same(dir string, content map[string][]byte) bool {
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != len(content) {
		return false
	}
	for name, value := range content {
		if file, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(file, value) {
			return false
		}
	}
	return true
}
