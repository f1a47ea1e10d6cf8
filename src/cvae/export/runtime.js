// Operations on tensors: flat Float32Arrays, the last dimension fastest, of shapes that the caller knows.

function map(f, a, b, c) {
  const out = new Float32Array(a.length);
  if (c) for (let i = 0; i < out.length; i++) out[i] = f(a[i], b[i], c[i]);
  else if (b) for (let i = 0; i < out.length; i++) out[i] = f(a[i], b[i]);
  else for (let i = 0; i < out.length; i++) out[i] = f(a[i]);
  return out;
}

// h (N, I), weight (outputs, I), bias (outputs) or null, to (N, outputs), or to (outputs, N) if turned
function linear(h, weight, bias, outputs, turned = false) {
  const inputs = weight.length / outputs, rows = h.length / inputs;
  const out = new Float32Array(rows * outputs), across = turned ? rows : 1, down = turned ? 1 : outputs;
  for (let n = 0; n < rows; n++) {
    // Four outputs at a time, whose sums need not wait for each other.
    for (let o = 0; o < outputs; o += 4) {
      const a = o * inputs, b = Math.min(o + 1, outputs - 1) * inputs;
      const c = Math.min(o + 2, outputs - 1) * inputs, d = Math.min(o + 3, outputs - 1) * inputs;
      let p = 0, q = 0, r = 0, s = 0;
      for (let i = 0, from = n * inputs; i < inputs; i++) {
        const value = h[from + i];
        p += value * weight[a + i];
        q += value * weight[b + i];
        r += value * weight[c + i];
        s += value * weight[d + i];
      }
      const sums = [p, q, r, s];
      for (let k = o; k < Math.min(o + 4, outputs); k++) out[n * down + k * across] = sums[k - o] + (bias ? bias[k] : 0);
    }
  }
  return out;
}

// a (N, rows, I) by b (N, I, columns), to (N, rows, columns)
function matmul(a, b, [N, rows, I, columns]) {
  const out = new Float32Array(N * rows * columns);
  for (let n = 0, at = 0; n < N; n++) {
    for (let r = 0; r < rows; r++, at += columns) {
      for (let i = 0; i < I; i++) {
        const value = a[(n * rows + r) * I + i], from = (n * I + i) * columns;
        if (value !== 0) for (let c = 0; c < columns; c++) out[at + c] += value * b[from + c];
      }
    }
  }
  return out;
}

// h (C, H, W), weight (O, C, kernel rows, kernel columns), bias (O) or null, to (O, H2, W2)
function conv2d(h, weight, bias, [C, H, W], [O, , rows, columns], [, H2, W2], stride, padding) {
  const size = C * rows * columns, seen = new Float32Array(H2 * W2 * size); // what of h each pixel is made of
  for (let y = 0, at = 0; y < H2; y++) {
    for (let x = 0; x < W2; x++) {
      for (let c = 0; c < C; c++) {
        for (let dy = 0; dy < rows; dy++) {
          const from = y * stride[0] + dy - padding[0];
          for (let dx = 0; dx < columns; dx++, at++) {
            const left = x * stride[1] + dx - padding[1];
            if (from >= 0 && from < H && left >= 0 && left < W) seen[at] = h[(c * H + from) * W + left];
          }
        }
      }
    }
  }
  return linear(seen, weight, bias, O, true);
}

// h (C, ...): each group of channels to mean 0 and variance 1, then each channel by weight and bias
function groupNorm(h, weight, bias, groups, channels, epsilon) {
  const out = new Float32Array(h.length), size = h.length / groups, pixels = h.length / channels;
  for (let start = 0; start < h.length; start += size) {
    let sum = 0, squares = 0;
    for (let i = start; i < start + size; i++) sum += h[i];
    const mean = sum / size;
    for (let i = start; i < start + size; i++) squares += (h[i] - mean) ** 2;
    const scale = 1 / Math.sqrt(squares / size + epsilon);
    for (let i = start; i < start + size; i++) {
      const channel = Math.floor(i / pixels);
      const normal = (h[i] - mean) * scale;
      out[i] = (weight ? normal * weight[channel] : normal) + (bias ? bias[channel] : 0);
    }
  }
  return out;
}

// h (..., H, W) to (..., H2, W2), each pixel the one that lies where it does
function upsample(h, [H, W], [H2, W2]) {
  const planes = h.length / (H * W), out = new Float32Array(planes * H2 * W2);
  for (let p = 0, at = 0; p < planes; p++) {
    for (let y = 0; y < H2; y++) {
      const row = (p * H + Math.floor(y * H / H2)) * W;
      for (let x = 0; x < W2; x++) out[at++] = h[row + Math.floor(x * W / W2)];
    }
  }
  return out;
}

// tensors with the same leading dimensions, `outer` of them in all, side by side
function cat(outer, ...parts) {
  const out = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  for (let n = 0, at = 0; n < outer; n++) {
    for (const part of parts) {
      const size = part.length / outer;
      out.set(part.subarray(n * size, (n + 1) * size), at);
      at += size;
    }
  }
  return out;
}

// the sum over a dimension of this size, which `outer` elements in all lie before
function sum(h, outer, size) {
  const inner = h.length / (outer * size), out = new Float32Array(outer * inner);
  for (let n = 0; n < h.length; n++) out[Math.floor(n / (size * inner)) * inner + (n % inner)] += h[n];
  return out;
}

// h (..., size): the sum of each number and those before it
function runningSum(h, size) {
  const out = Float32Array.from(h);
  for (let n = 0; n < out.length; n++) if (n % size) out[n] += out[n - 1];
  return out;
}

// h (..., size): the logarithms of numbers that add up to one
function logSoftmax(h, size) {
  const out = new Float32Array(h.length);
  for (let start = 0; start < h.length; start += size) {
    const row = h.subarray(start, start + size), most = row.reduce((a, b) => Math.max(a, b));
    const total = most + Math.log(row.reduce((sum, value) => sum + Math.exp(value - most), 0));
    for (let n = 0; n < size; n++) out[start + n] = row[n] - total;
  }
  return out;
}

// h (..., size): the largest of each row, and the place of the first such number
function amax(h, size) {
  return map((place, at) => h[at * size + place], argmax(h, size), Float32Array.from({ length: h.length / size }, (_, at) => at));
}

function argmax(h, size) {
  const out = new Float32Array(h.length / size);
  for (let n = 0; n < out.length; n++) {
    for (let i = 1; i < size; i++) if (h[n * size + i] > h[n * size + out[n]]) out[n] = i;
  }
  return out;
}

// h (..., size): the numbers at these places of it
function take(h, size, places) {
  const out = new Float32Array(h.length / size * places.length);
  for (let n = 0; n < out.length; n++) {
    out[n] = h[Math.floor(n / places.length) * size + places[n % places.length]];
  }
  return out;
}

// what a tensor of this shape, with these strides, sees of h from an offset on
function view(h, shape, strides, offset) {
  const out = new Float32Array(shape.reduce((product, size) => product * size, 1));
  const index = shape.map(() => 0);
  for (let at = 0, from = offset; at < out.length; at++) {
    out[at] = h[from];
    for (let d = shape.length - 1; d >= 0; d--) {
      from += strides[d];
      if (++index[d] < shape[d]) break;
      from -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
  return out;
}

function row(table, number, count) {
  const size = table.length / count;
  return table.subarray(number * size, (number + 1) * size);
}

// Abramowitz & Stegun 1964, 7.1.26: right to 1.5e-7
function erf(a) {
  const t = 1 / (1 + 0.3275911 * Math.abs(a));
  const sum = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(a) * (1 - sum * Math.exp(-a * a));
}

// Standard normal numbers, the same for the same seed: mulberry32, and Box & Muller 1958.
function normals(seed, count) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
  const out = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(uniform())), angle = 2 * Math.PI * uniform();
    out[i] = radius * Math.cos(angle);
    if (i + 1 < count) out[i + 1] = radius * Math.sin(angle);
  }
  return out;
}

// The arrays of a model, from their bytes: deflated, in base64, one array after another.
async function unpacked(arrays, text) {
  const letters = atob(text), deflated = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) deflated[i] = letters.charCodeAt(i);
  const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = await new Response(stream).arrayBuffer();
  let at = 0;
  const take = (Kind, count) => {
    const size = count * Kind.BYTES_PER_ELEMENT;
    return new Kind(bytes.slice(at, (at += size)));
  };
  return arrays.map(([kind, rows, columns]) => {
    if (kind === "float32") return take(Float32Array, rows * columns);
    const halves = (count) => Float32Array.from(take(Uint16Array, count), fromHalf);
    if (kind === "float16") return halves(rows * columns);
    const byRow = halves(rows), byColumn = halves(columns);
    const whole = take(Int8Array, rows * columns), out = new Float32Array(rows * columns);
    for (let r = 0, i = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++, i++) out[i] = whole[i] * byRow[r] * byColumn[c];
    }
    return out;
  });
}

// IEEE 754 binary16
function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
