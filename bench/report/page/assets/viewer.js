// Keys for a viewer of one mesh: arrows turn it, + and - come nearer and go away. It stands after trimesh's own script.
(() => {
  const STEP = Math.PI / 24;
  const NEARER = 0.9;
  const canvas = document.querySelector("canvas");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", document.title + ": a mesh; arrow keys turn it, plus and minus zoom");
  const turned = (axis, angle) => {
    const arm = camera.position.clone().sub(controls.target).applyAxisAngle(axis, angle);
    camera.up.applyAxisAngle(axis, angle);
    camera.position.copy(controls.target).add(arm);
  };
  const right = () => {
    const arm = camera.position.clone().sub(controls.target);
    return camera.up.clone().cross(arm).normalize();
  };
  const away = (share) => camera.position.sub(controls.target).multiplyScalar(share).add(controls.target);
  const KEYS = {
    ArrowLeft: () => turned(camera.up.clone().normalize(), -STEP),
    ArrowRight: () => turned(camera.up.clone().normalize(), STEP),
    ArrowUp: () => turned(right(), -STEP),
    ArrowDown: () => turned(right(), STEP),
    "+": () => away(NEARER),
    "=": () => away(NEARER),
    "-": () => away(1 / NEARER),
  };
  window.addEventListener("keydown", (event) => {
    if (!(event.key in KEYS) || event.ctrlKey || event.metaKey || event.altKey || !controls) return;
    KEYS[event.key]();
    camera.lookAt(controls.target);
    controls.update();
    render();
    event.preventDefault();
  });
})();
