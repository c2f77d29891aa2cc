"""Exceptions that students meet most, and for each the likely cause and what to try, in words."""

from __future__ import annotations

import re

_CALL_IT = "Call the function in a fresh kernel with inputs of the shapes in the docstring."

# (pattern of the message, what usually causes it and what to try), the more special ones first. Messages as torch 2,
# NumPy and Python 3.10 to 3.13 give them; a test raises each of them for real.
CAUSES: tuple[tuple[str, str], ...] = (
    # Devices.
    (
        r"Torch not compiled with CUDA|No CUDA GPUs|Found no NVIDIA driver|support for mps devices|'MPS' backend|MPS backend",
        "The code asks for a GPU whatever the machine. Make new tensors on the device of your inputs: `device=x.device`, not `.cuda()` or `'mps'`.",
    ),
    (
        r"Expected all tensors to be on the same device|Input type \(.*\) and weight type \(.*\) should be the same",
        "Two tensors are on different devices. Make new tensors on the device of your inputs: `device=x.device`.",
    ),
    (
        r"can't convert cuda\S* device type tensor to numpy",
        "NumPy cannot read a tensor on the GPU. Stay with torch operations, or call `.cpu()` first where no gradient is needed.",
    ),
    # Other versions of libraries.
    (
        r"was removed in the NumPy|module 'numpy' has no attribute '(asscalar|rank)'|np\.\w+ was a deprecated alias",
        "That name was removed from NumPy 2, which the grader has. The message or NumPy's migration guide says what to write instead.",
    ),
    (
        r"unexpected keyword argument '(normalize|multi_class|base_estimator)'|The '\w+' parameter of \w+ must be",
        "The grader's scikit-learn is 1.7; that argument, or that value of it, belongs to an older or newer version. Leave it out, or write it as the message says.",
    ),
    (
        r"Weights only load failed|weights_only",
        "Since version 2.6, `torch.load` reads tensors only unless `weights_only=False` is given. Graded functions need no files.",
    ),
    (
        r"This function was deprecated since version|has been removed in favor of|module 'torch' has no attribute '(eig|symeig|solve|lstsq|chain_matmul|matrix_rank)'",
        "That function was removed from torch, of which the grader has version 2. `torch.linalg` has its successors.",
    ),
    # Truth of several numbers.
    (
        r"Boolean value of Tensor with (more than one|no) value",
        "`if` needs one True or False, but got a whole tensor. To ask whether an argument was given, write `if ids_shuffle is None`.",
    ),
    (
        r"truth value of an array with more than one element",
        "`if` needs one True or False, but got a whole array. Use `.all()` or `.any()`, or `np.where` to decide element by element.",
    ),
    # Joining.
    (
        r"Sizes of tensors must match except in dimension",
        "`torch.cat` was given tensors that differ in more than the dimension it joins. Print their shapes; `dim=1` joins along the patches.",
    ),
    (
        r"Tensors must have same number of dimensions|stack expects each tensor to be equal size",
        "`torch.cat` or `torch.stack` was given tensors with different numbers of dimensions or sizes. A token of shape (1, 1, D) has to be expanded to (B, 1, D) first.",
    ),
    (
        r"cat\(\): argument 'tensors' .*must be tuple of Tensors",
        "`torch.cat` takes one list of tensors: `torch.cat([first, second], dim=1)`.",
    ),
    # None.
    (
        r"NoneType",
        "Something that should be a value is None. A function that ends without `return` gives None, and so do methods that change a list in place, such as `append`.",
    ),
    # Shapes of products.
    (
        r"mat1 and mat2 shapes cannot be multiplied",
        "A linear layer, or a product of matrices, got vectors of another length than it was built for. Print the shapes just before; the features belong in the last dimension. If it happens only for other sizes, look for a size that is written as a number, such as a `patch_size` that is not passed on.",
    ),
    (
        r"was expecting embedding dimension of",
        "The transformer got vectors of another width than it was built for. Print the shape that goes into it: (batch, tokens, features), with the projection before it applied.",
    ),
    (
        r"size mismatch, got input|inconsistent tensor size, expected tensor|core dimension|shapes .* not aligned|matmul: Input operand",
        "The shapes of a product with `@` do not fit: the last dimension of the left one has to be as long as the first one of a vector, or the last but one of a matrix, on the right. Print both shapes; perhaps one has to be transposed.",
    ),
    (
        r"batch1 to be the same as|Expected size for first two dimensions of batch2",
        "The shapes of a batched product do not fit. Print both: (B, n, k) goes with (B, k, m).",
    ),
    (
        r"einsum\(\)|subscript (dimension|[a-z] )|operand subscripts",
        "The letters given to `einsum` do not fit the shapes. Write the shape of each operand below its letters and compare.",
    ),
    (
        r"Error while processing re(arrange|duce|peat)",
        "The pattern given to `einops` does not fit the shape. Write the shape below the left side of the pattern and compare; sizes that are not fixed by it have to be passed by name.",
    ),
    # Reshaping and axes.
    (
        r"view size is not compatible",
        "`view` needs values that lie next to each other in memory, which is no longer so after `permute` or `transpose`. Use `reshape`, and check that the axes are in the order you want before it.",
    ),
    (
        r"shape '.*' is invalid for input of size|cannot reshape array of size",
        "The sizes given to `reshape` or `view` do not multiply to the number of elements. Write down the shape after each step.",
    ),
    (
        r"number of dimensions in the tensor input does not match|axes don't match array",
        "`permute` or `transpose` names another number of axes than the tensor has. Print its shape just before, and name every axis once.",
    ),
    (
        r"repeated dim in permute|repeated axis in transpose|duplicate dims",
        "`permute` names an axis twice. Name every axis once.",
    ),
    (
        r"expanded size of the tensor .* must match|number of sizes provided",
        "`expand` only repeats dimensions of size 1, and needs one size for every dimension; -1 leaves one as it is. A token of shape (1, 1, D) becomes `token.expand(B, -1, -1)`.",
    ),
    (
        r"must match the size of tensor b|operands could not be broadcast|shape mismatch|could not broadcast",
        "Two tensors that are combined have shapes that do not fit. Print both shapes just before; a dimension of size 1 is repeated, all others have to be equal.",
    ),
    (
        r"Dimension out of range|axis \d+ is out of bounds|dimension specified as",
        "A dimension is named that the tensor does not have: counting begins at 0. Print its shape just before.",
    ),
    # Indices.
    (
        r"tensors used as indices must be|only integers, slices|Expected dtype \S*int64 for index|dtype of indices should be|must be Long|arrays used as indices must be of integer",
        "Indices have to be whole numbers of type int64. `torch.argsort` gives them; `.long()` makes them, and a boolean mask picks by True and False.",
    ),
    (
        r"[Oo]nly integer tensors of a single element|cannot be converted to Scalar|only integer scalar arrays|can be converted to Python scalars|only one element tensors|only size-1 arrays|only 0-dimensional arrays",
        "One number is needed where a whole tensor stands. Look at what is used as a size, an index or a count.",
    ),
    (
        r"index .* is out of bounds|out of range|Index tensor must have the same number of dimensions|Size does not match at dimension",
        "An index is larger than the dimension it points into, or has another shape than what it picks from. Check which of `ids_shuffle` and `ids_restore` is used, and along which dimension.",
    ),
    (
        r"too many indices",
        "More dimensions are indexed than there are. Print the shape just before.",
    ),
    # Types of numbers.
    (
        r"to have the same dtype|expected scalar type|Found dtype|same dtype, but got|should be the same type",
        "Numbers of two types meet: the meta-learning half computes in float64, the vision half in float32. `to_tensor` makes float64 of an array; `x.to(y.dtype)` makes the types equal.",
    ),
    (
        r"could not infer output dtype|Input dtype must be either a floating point|not implemented for '(Long|Bool|Int)'|result type \S+ can't be cast",
        "Whole or boolean numbers stand where real ones are needed. Turn them into floats first: `.float()`, or `.double()` in the meta-learning half.",
    ),
    (
        r"negation .* on a bool tensor|Subtraction, the `-` operator, with (a|two) bool tensor|numpy boolean (negative|subtract)",
        "A boolean mask cannot be subtracted. `~mask` inverts it; `mask.float()` makes numbers of it.",
    ),
    (
        r"expected np.ndarray|can't convert np.ndarray of type|invalid combination of arguments|must be Tensor, not|must be tuple of ints|expected a Tensor|not supported between instances|unsupported operand type",
        "A value has another type than the operation takes, perhaps an array, a list or a number where a tensor is needed. Print `type(...)` of what goes in; `torch.as_tensor` makes a tensor of an array or a list.",
    ),
    (
        r"'numpy.ndarray' object has no attribute|'list' object has no attribute '(shape|dim|size|to|mean|reshape|view)'",
        "An array or a list stands where a tensor is wanted. `torch.as_tensor`, or `to_tensor` in the meta-learning half, makes one of it.",
    ),
    (
        r"'Tensor' object has no attribute '(astype|append|copy)'",
        "That is a method of NumPy or of lists; tensors have `.to(dtype)`, `torch.cat` and `.clone()`.",
    ),
    # Tuples.
    (
        r"'tuple' object has no attribute|tuple indices must be|not tuple|can only concatenate tuple",
        "A tuple stands where a tensor is wanted. Calling `mae(images)` returns a reconstruction and a mask, and `forward_encoder` three things; the representation comes from `forward_encoder_representation`.",
    ),
    (
        r"values to unpack",
        "The left side of an assignment has another number of names than there are values on the right. `random_masking` and `forward_encoder` return three; a batch of images has a shape of four numbers.",
    ),
    # Gradients.
    (
        r"Can't call numpy\(\) on Tensor that requires grad",
        "A detour through numpy cuts the gradient. Stay with torch operations inside graded functions; where no gradient is needed, `to_numpy` or `.detach().numpy()` copies the values.",
    ),
    (
        r"a leaf Variable that requires grad|view .* is being modified inplace|modified by an inplace operation|a view of a leaf|is a view and",
        "A tensor that the gradient needs is written to in place. Build a new tensor instead, with `torch.cat`, `torch.where` or a sum, in place of `x[...] = …` and `+=`.",
    ),
    (
        r"does not require grad and does not have a grad_fn",
        "The loss does not depend on anything that is learned: somewhere the graph is cut. Look for `.detach()`, `.data`, `.item()`, `to_numpy`, `torch.no_grad()` and `torch.tensor(...)` of a tensor.",
    ),
    (
        r"differentiated Tensors?( at index \d+)? (appears to not have been used|does not require grad)",
        "A gradient is asked for with respect to something that the loss does not use. Check that the loss is computed from that very tensor, not from a copy.",
    ),
    (
        r"backward through the graph a second time",
        "The same graph is gone through twice. In the inner loop, ask for gradients with `create_graph=True`; otherwise compute the loss anew before each `backward()`.",
    ),
    (
        r"grad can be implicitly created only for scalar outputs",
        "`backward()` needs a single number. Sum or average the loss first.",
    ),
    # Parameters and attributes.
    (
        r"size mismatch for|Missing key\(s\) in state_dict|Unexpected key\(s\) in state_dict",
        "The saved parameters belong to a model of other sizes or names. Build the model as it was when it was saved, or save it again.",
    ),
    (
        r"object has no attribute 'forward_encoder_representation'|object has no attribute 'forward_\w+'",
        "A method is not where it is looked for. Check its indentation: it has to stand inside the class.",
    ),
    (
        r"(module|type object) '?\S+'? has no attribute",
        "A module or class does not have that name. Look for a typing mistake, and for a variable of yours that has the module's name.",
    ),
    (
        r"object has no attribute",
        "An object does not have that attribute. Look for a typing mistake, and check that `__init__` sets it and still calls `super().__init__()`.",
    ),
    (
        r"before Module.__init__\(\) call",
        "`super().__init__()` has to be the first line of the constructor of a model.",
    ),
    # Calls.
    (
        r"takes (\d+) positional arguments? but (\d+) (was|were) given",
        "More arguments are given than the function names. If it is a method, its first argument has to be `self`; otherwise keep names, order and defaults of the template's arguments.",
    ),
    (
        r"missing \d+ required positional argument|unexpected keyword argument|multiple values for argument",
        "The signature differs from the template's, or a call leaves an argument out. Keep names, order and defaults of the arguments; a method is called on an object, not on its class.",
    ),
    (
        r"object is not callable",
        "Something that is no function is called, often a variable with the name of a function, or a bracket after a value where an operator is missing.",
    ),
    (
        r"is not subscriptable|indices must be integers",
        "Something without elements is indexed with `[...]`: a function, a number or a list where a tensor or dictionary is wanted.",
    ),
    # Linear algebra and solvers.
    (
        r"Singular matrix|input matrix is singular|inversion could not be completed|not positive-definite",
        "A matrix has no inverse: its rows or columns depend on each other. The shortest solution exists all the same; the pseudo-inverse gives it.",
    ),
    (
        r"SVD did not converge|contains NaN|Input contains|infs or NaNs",
        "There are NaN or infinite values before this line. Print `np.isfinite(...).all()` after each step, and look for a step size that is too large.",
    ),
    (
        r"needs samples of at least 2 classes|Unknown label type",
        "Logistic regression of scikit-learn wants labels of both kinds. `solve_logistic` of the handed-out module copes with one kind; labels come from `my_sign`.",
    ),
    # Input and output.
    (
        r"EOF when reading a line",
        "Nobody is there to answer `input()`. Take it out of what graded functions need.",
    ),
    (
        r"No such file or directory|Unable to find|cannot find the file",
        "The code reads a file that is not there: the grader gives your code no files. Make the value in the code itself.",
    ),
    (
        r"Operation not permitted|Permission denied|urlopen|Temporary failure in name resolution|Name or service not known",
        "The grader has no network and lets code write only to its own folder. Graded functions need neither; put downloads into cells of their own.",
    ),
)


def likely_cause(kind: str, message: str) -> str:
    """
    Return what usually causes an exception and what to try.

    Args:
        kind: the name of the exception's type.
        message: its words, shortened.
    """
    if kind in _KINDS:
        return _KINDS[kind]
    for pattern, cause in CAUSES:
        if re.search(pattern, message):
            return cause
    return _OTHER_KINDS.get(kind, _CALL_IT)


# Kinds whose message says nothing more.
_KINDS = {
    "UnboundLocalError": "A variable is read before it has a value: it is set only in a branch or loop that was not gone through, or further down in the function.",
    "ModuleNotFoundError": "Graded functions need only torch and numpy; the grader does not have every library.",
    "RecursionError": "The function calls itself without end. Look for a method that calls its own name.",
    "SystemExit": "Take out calls such as `exit()` and `quit()`.",
    "KeyError": "A dictionary does not have that key. `params_dict` has the keys that the notebook lists; `data_dict` has 'train' and 'test', and in 'train' the numbers of points.",
    "ZeroDivisionError": "Something is divided by zero. Print the divisor just before; a count or a size may be 0 for small inputs.",
    "KeyboardInterrupt": "Take out code that interrupts the interpreter.",
    "StopIteration": "`next` was called on something that has no more elements.",
}
_OTHER_KINDS = {
    "AssertionError": "An `assert` of yours does not hold. Print both sides of it; perhaps it is written for one size only.",
    "ImportError": "That name is not in the module. Keep the handed-out modules as they are, and import what they define.",
    "NameError": "Restart the kernel and run all cells: a name that only an old cell defined is gone then.",
}
