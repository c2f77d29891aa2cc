"""
The homework solved a second time, in other ways, from the handout alone: text that shares nothing with the reference.

The solved notebooks include the reference, so a mistake in it would be in both and nobody would see it. This text
would lose points. It goes into a cell, or to the end of a module, after the first solution: what comes later counts.
"""

VISION = """\
import torch.nn.functional as F


def patchify(images, patch_size=4):
    return F.unfold(images, kernel_size=patch_size, stride=patch_size).transpose(1, 2)


def unpatchify(patches, patch_size=4):
    side = round(patches.shape[1] ** 0.5) * patch_size
    return F.fold(patches.transpose(1, 2), (side, side), kernel_size=patch_size, stride=patch_size)


def random_masking(x, keep_length, ids_shuffle):
    kept_ids = ids_shuffle[:, :keep_length]
    kept = torch.stack([row[ids] for row, ids in zip(x, kept_ids)])
    mask = torch.ones(x.shape[0], x.shape[1], device=x.device).scatter(1, kept_ids, 0.0)
    places = torch.arange(x.shape[1], device=x.device).expand_as(ids_shuffle)
    return kept, mask, torch.zeros_like(ids_shuffle).scatter(1, ids_shuffle, places)


def restore_masked(kept_x, masked_x, ids_restore):
    both = torch.cat([kept_x, masked_x], dim=1)
    return torch.stack([row[ids] for row, ids in zip(both, ids_restore)])


def with_token(token, x):
    return torch.cat([token.repeat(x.shape[0], 1, 1), x], dim=1)


class ClassificationViT(ClassificationViT):
    def forward(self, images):
        x = with_token(self.cls_token, self.patch_projection(patchify(images, self.patch_size)))
        return self.output_head(self.transformer(x + self.position_encoding)[:, 0])


class MaskedAutoEncoder(MaskedAutoEncoder):
    def embed(self, images):
        return self.encoder_input_projection(patchify(images, self.patch_size)) + self.encoder_position_encoding

    def forward_encoder(self, images, ids_shuffle=None):
        x = self.embed(images)
        if ids_shuffle is None:
            ids_shuffle = torch.stack([torch.randperm(x.shape[1], device=x.device) for _ in x])
        kept, mask, ids_restore = random_masking(x, self.keep_length, ids_shuffle)
        return self.encoder(with_token(self.cls_token, kept)), mask, ids_restore

    def forward_decoder(self, encoder_embeddings, ids_restore):
        x = self.decoder_input_projection(encoder_embeddings)
        gaps = self.masked_tokens.repeat(x.shape[0], ids_restore.shape[1] - x.shape[1] + 1, 1)
        whole = restore_masked(x[:, 1:], gaps, ids_restore) + self.decoder_position_encoding
        return self.decoder_output_projection(self.decoder(torch.cat([x[:, :1], whole], dim=1))[:, 1:])

    def forward_encoder_representation(self, images):
        return self.encoder(with_token(self.cls_token, self.embed(images)))


class ClassificationMAE(ClassificationMAE):
    def forward(self, images):
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.detach):
            token = self.mae.forward_encoder_representation(images)[:, 0]
        return self.output_head(token)
"""

THEORY = """\
def min_norm_solution(A, y):
    return np.linalg.pinv(A) @ y


def aliased_coefficients(c):
    return c / np.linalg.norm(c) ** 2


def expected_test_error(c):
    share = c[1] ** 2 / (c[0] ** 2 + c[1] ** 2)
    return share**2


def expected_test_error_gradient(c):
    length = c[0] ** 2 + c[1] ** 2
    return 4 * c[0] * c[1] ** 3 / length**3 * np.array([-c[1], c[0]])


def descend_feature_weights(c_init, step_size, n_iterations):
    points = [np.array(c_init, dtype=float)]
    while len(points) <= n_iterations:
        points.append(points[-1] - step_size * expected_test_error_gradient(points[-1]))
    return np.array(points)
"""

CLASSIFICATION = """\


def meta_update_classification(w_t, feature_weights_t, n_train_meta, phi_type, d, k_idx, k_val, noise_prob):
    features = featurize(generate_x(n_train_meta, "uniform_random"), d, phi_type)
    z = to_tensor(add_label_noise(my_sign(generate_y(features, k_idx, k_val)), noise_prob))
    margins = z * (to_tensor(features) @ (feature_weights_t * w_t))
    return torch.logaddexp(torch.zeros_like(margins), -margins).sum()


def test_classification(data_dict, feature_weights, min_n_train_post=0):
    sizes, rows = [], []
    for n, train in data_dict["train"].items():
        if n < min_n_train_post:
            continue
        errors = []
        for z_train, z_test in zip(train["y"], data_dict["test"]["y"]):
            alpha = solve_logistic(train["features"], z_train, feature_weights)[0]
            wrong = my_sign(data_dict["test"]["features"] @ alpha) != z_test
            errors.append(wrong.mean())
        sizes.append(n)
        rows.append([np.mean(errors), np.percentile(errors, 90), np.percentile(errors, 10)])
    return (sizes, *np.array(rows).T)


def test_zero_classification(data_dict):
    errors = np.array([np.mean(z != 1) for z in data_dict["test"]["y"]])
    return errors.mean(), np.percentile(errors, 90), np.percentile(errors, 10)
"""
