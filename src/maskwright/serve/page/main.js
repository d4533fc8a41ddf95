// Uploads an image and shows the overlay.
const said = document.getElementById("said");
document.getElementById("file").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  said.textContent = "…";
  const answer = await fetch("/v1/predict?output=overlay", { method: "POST", body: file });
  if (!answer.ok) {
    said.textContent = (await answer.json()).detail;
    return;
  }
  document.getElementById("mask").src = URL.createObjectURL(await answer.blob());
  said.textContent = file.name;
});
